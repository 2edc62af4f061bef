// A private service of the private-networks example: says who it is and whom it sees, over HTTP and, with a third argument, UDP
// on that port. Usage: node service.mjs NAME ADDRESS [UDP_PORT]; HTTP is on port 9480. Prints a line once it is there.

import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'

const [name, host, udpPort] = process.argv.slice(2)

createServer((ask, answer) => answer.end(`${name}, asked for ${ask.headers.host}\n`)).listen(9480, host, () => {
  if (udpPort === undefined) console.log('ready')
})
if (udpPort !== undefined) {
  const udp = createSocket('udp4')
  udp.on('message', (_payload, { address, port }) => udp.send(name, port, address))
  udp.bind(Number(udpPort), host, () => console.log('ready'))
}
