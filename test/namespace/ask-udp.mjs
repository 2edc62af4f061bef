// Asks an origin by UDP through the lab's SOCKS5 door and prints the answer: node ask-udp.mjs USER PASSWORD ADDRESS PORT.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'

const [user, password, address, port] = process.argv.slice(2)
const control = connect(8080, '127.0.0.1')
const answer = async (bytes) => {
  control.write(bytes)
  return (await once(control, 'data'))[0]
}
const text = (value) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)])

await answer(Buffer.of(5, 1, 2))
await answer(Buffer.concat([Buffer.of(1), text(user), text(password)]))
const relay = (await answer(Buffer.of(5, 3, 0, 1, 0, 0, 0, 0, 0, 0))).readUInt16BE(8)
const socket = createSocket('udp4')
const head = Buffer.from([0, 0, 0, 1, ...address.split('.').map(Number), port >> 8, port & 255])
socket.send(Buffer.concat([head, Buffer.from('who am I?')]), relay, '127.0.0.1')
const [datagram] = await once(socket, 'message', { signal: AbortSignal.timeout(8_000) })
process.stdout.write(`${datagram.subarray(10)}\n`)
socket.close()
control.destroy()
