// A tunnel through the lab over which both sides talk without end, and both ends of it: node talk.mjs PROXY-ADDRESS USER:PASSWORD ADDRESS.
// Listens on port 9 itself, and prints a line once bytes have come through both ways.

import { connect, createServer } from 'node:net'

const [proxy, login, address] = process.argv.slice(2)
const talk = (socket) => {
  const timer = setInterval(() => socket.write('and so on\n'), 50)
  socket.on('error', () => undefined).on('close', () => clearInterval(timer))
}
const heard = new Set()
const hear = (who) => {
  if (heard.size < 2 && heard.add(who).size === 2) process.stdout.write('both talk\n')
}
createServer((socket) => {
  talk(socket)
  socket.on('data', () => hear('origin'))
}).listen(9, '::', () => {
  const client = connect(8081, proxy)
  const credentials = Buffer.from(login).toString('base64')
  client.write(
    `CONNECT ${address}:9 HTTP/1.1\r\nHost: ${address}:9\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`,
  )
  client.once('data', (bytes) => {
    if (!String(bytes).startsWith('HTTP/1.1 200')) throw new Error(String(bytes))
    talk(client)
    client.on('data', () => hear('client'))
  })
})
