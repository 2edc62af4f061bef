// An origin on the internet of the namespace tests: says whom it sees, over HTTP on port 80 of both families and over UDP on
// port 7. Prints a line once it is there.

import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'

const server = createServer((ask, answer) => answer.end(`${ask.socket.remoteAddress?.replace('::ffff:', '')}\n`))
server.listen(80, '::', () => {
  const udp = createSocket('udp6')
  udp.on('message', (_payload, { address, port }) => udp.send(address.replace('::ffff:', ''), port, address))
  udp.bind(7, '::', () => process.stdout.write('ready\n'))
})
