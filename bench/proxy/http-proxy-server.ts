// http-proxy as a forward proxy with a bound source address: `node http-proxy-server.ts PORT SOURCE`.

import { Agent, createServer } from 'node:http'
import httpProxy from 'http-proxy'

const [port = '0', source = '127.0.0.1'] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, localAddress: source })
const proxy = httpProxy.createProxyServer({ agent })
proxy.on('error', (_, __, response) => response.end())
createServer((request, response) => {
  const { origin } = new URL(request.url ?? '')
  proxy.web(request, response, { target: origin })
}).listen(Number(port), '127.0.0.1')
