// An origin that reads the PROXY protocol, version 2, as nginx does with `listen 9080 proxy_protocol`, and says what it was told
// and who really connected. IPv4 only, and the header has to come in one piece: for the example. node site.mjs PORT

import { createServer } from 'node:net'

createServer((socket) => {
  socket.once('data', (bytes) => {
    const told = `${bytes.subarray(16, 20).join('.')}`
    const body = `told ${told}, connected from ${socket.remoteAddress}\n`
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
  })
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))
