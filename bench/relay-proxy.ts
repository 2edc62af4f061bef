// The proxy under test of relay.ts: accepts, dials, relays, in one of several ways. Only those bytes count; no policy, no protocol.

import { type AddressInfo, createServer, Socket } from 'node:net'
import { ip } from '../src/net/ip.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../src/outbound/port-leases.ts'
import { DeadlineClock } from '../src/proxy/deadline.ts'
import { adoptAccepted, DirectSocket } from '../src/proxy/direct-socket.ts'
import { relay } from '../src/proxy/relay.ts'

const [way = 'direct', originPort = '0'] = process.argv.slice(2)
const clock = new DeadlineClock()
const leases = new PortLeases({ limit: () => 40_000, range: DEFAULT_PORT_RANGE })
const bind = ip('127.0.10.10')
const dial = { ip: ip('127.0.0.1'), port: Number(originPort) }
let closedBytes = 0
const upstreams = new Set<Socket>()

const server = createServer({ allowHalfOpen: true, noDelay: true }, (accepted) => {
  const client = way === 'adopted' ? adoptAccepted(accepted) : accepted
  client.on('error', () => {})
  const Upstream = way === 'direct' || way === 'adopted' ? DirectSocket : Socket
  const upstream = new Upstream({ allowHalfOpen: true, noDelay: true })
  const lease = leases.lease({ egress: bind, destination: dial, bind, dial })
  if (lease === undefined) throw new Error('no port left')
  upstreams.add(upstream)
  upstream.on('error', () => {})
  upstream.once('close', () => {
    lease.release()
    upstreams.delete(upstream)
    closedBytes += upstream.bytesRead + upstream.bytesWritten
  })
  upstream.connect({ port: dial.port, host: dial.ip.text, localAddress: bind.text, localPort: lease.port })
  upstream.once('connect', () => {
    if (way === 'pipe') client.pipe(upstream).pipe(client)
    else relay(client, upstream, { idleMs: 8 * 3_600_000, clock })
  })
})

process.on('message', () => {
  globalThis.gc?.()
  const cpu = process.cpuUsage()
  let bytes = closedBytes
  for (const upstream of upstreams) bytes += upstream.bytesRead + upstream.bytesWritten
  process.send?.({ bytes, cpuMicros: cpu.user + cpu.system, rss: process.memoryUsage.rss() })
})

server.listen(0, '127.0.0.1', 4_096, () => process.send?.({ port: (server.address() as AddressInfo).port }))
