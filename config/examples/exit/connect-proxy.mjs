// The smallest exit there is: an HTTP proxy that takes CONNECT and leaves from one address. For the example only; in earnest
// use `ssh -D`, Squid or another lab. node connect-proxy.mjs PORT LEAVE_FROM

import { createServer } from 'node:http'
import { connect } from 'node:net'

const [port, localAddress] = process.argv.slice(2)
const proxy = createServer((_request, response) => response.writeHead(405).end())

proxy.on('connect', ({ url }, client) => {
  const colon = url.lastIndexOf(':')
  const host = url.slice(0, colon).replace(/^\[|\]$/g, '')
  const origin = connect({ host, port: Number(url.slice(colon + 1)), localAddress })
  origin.once('connect', () => client.write('HTTP/1.1 200 Connected\r\n\r\n'))
  origin.pipe(client).pipe(origin)
  origin.on('error', () => client.destroy())
  client.on('error', () => origin.destroy())
})

proxy.listen(Number(port), '127.0.0.1', () => console.log('ready'))
