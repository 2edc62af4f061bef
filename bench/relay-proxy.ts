// The proxy under test of relay.ts: accepts, dials, relays, in one of several ways. Only those bytes count; no policy, no protocol.

import type { Socket } from 'node:net'
import { ip } from '../src/net/ip.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../src/outbound/port-leases.ts'
import { relay } from '../src/proxy/relay.ts'
import type { ByteStream } from '../src/transport/byte-stream.ts'
import { chooseEngine } from '../src/transport/choose-engine.ts'
import { nodeEngine } from '../src/transport/node/node-engine.ts'
import { TimerWheel } from '../src/transport/timer-wheel.ts'

const [way = 'engine', originPort = '0'] = process.argv.slice(2)
const clock = new TimerWheel()
const leases = new PortLeases({ limit: () => 40_000, range: DEFAULT_PORT_RANGE, onPressure: () => undefined })
const bind = ip('127.0.10.10')
const dial = { ip: ip('127.0.0.1'), port: Number(originPort) }
const engine = chooseEngine('auto', (message) => process.stderr.write(`${message}\n`))
const isOurs = way === 'engine' || way === 'thread'
const inbound = isOurs ? engine : nodeEngine
const outbound = isOurs || way === 'mixed' ? engine : nodeEngine
const passOn = engine.passOn?.bind(engine)
let closedBytes = 0
const upstreams = new Set<ByteStream>()

const listening = await inbound.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, (client) => {
  const lease = leases.lease({ egress: bind, destination: dial, bind, dial })
  if (lease === undefined) throw new Error('no port left')
  const onConnect = (upstream: ByteStream) => {
    upstreams.add(upstream)
    upstream.onceClosed(() => {
      lease.release()
      upstreams.delete(upstream)
      closedBytes += upstream.bytesRead + upstream.bytesWritten
    })
    if (way === 'pipe') pipe(client.asSocket(), upstream.asSocket())
    else relay(client, upstream, { idleMs: 8 * 3_600_000, clock, ...(way === 'thread' ? { passOn } : {}) })
  }
  const onFailure = () => {
    lease.release()
    client.reset()
  }
  outbound.dial({ to: dial, from: { ip: bind, port: lease.port } }, { onConnect, onFailure })
})

function pipe(client: Socket, upstream: Socket): void {
  client.pipe(upstream).pipe(client)
}

process.on('message', () => {
  globalThis.gc?.()
  const cpu = process.cpuUsage()
  let bytes = closedBytes
  for (const upstream of upstreams) bytes += upstream.bytesRead + upstream.bytesWritten
  process.send?.({ bytes, cpuMicros: cpu.user + cpu.system, rss: process.memoryUsage.rss() })
})

process.send?.({ port: listening.address.port })
