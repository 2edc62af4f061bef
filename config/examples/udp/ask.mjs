// Sends one datagram through a SOCKS5 proxy and prints the answer:
// node ask.mjs PROXY_HOST:PORT USER PASSWORD HOST PORT [TEXT]

import { createSocket } from 'node:dgram'
import { SocksClient } from 'socks'

const [proxy = '', userId, password, host = '', port = '7', text = 'hello'] = process.argv.slice(2)
const [proxyHost, proxyPort] = proxy.split(':')

const client = new SocksClient({
  proxy: { host: proxyHost, port: Number(proxyPort), type: 5, userId, password },
  command: 'associate',
  // not known yet where our datagrams will come from: the proxy takes the port of the first one
  destination: { host: '0.0.0.0', port: 0 },
})

client.on('error', ({ message }) => {
  console.error(message)
  process.exitCode = 1
})

client.on('established', ({ socket: control, remoteHost: relay }) => {
  const udp = createSocket('udp4')
  udp.once('message', (datagram) => {
    process.stdout.write(SocksClient.parseUDPFrame(datagram).data)
    udp.close()
    // the association lasts as long as this connection
    control.destroy()
  })
  const frame = { remoteHost: { host, port: Number(port) }, data: Buffer.from(text) }
  udp.send(SocksClient.createUDPFrame(frame), relay.port, relay.host)
})

client.connect()
