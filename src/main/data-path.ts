// The road of a connection, put together: dialler, pipeline, doors.

import type { LabConfig } from '../config/lab-config.ts'
import { InputError } from '../errors/issue.ts'
import { type Gateway, openGateway } from '../inbound/gateway.ts'
import type { UdpHandler } from '../inbound/socks5/socks5-handshake.ts'
import { createUdpHandler } from '../inbound/socks5/udp-association.ts'
import type { SessionLog } from '../log/session-log.ts'
import { formatTarget } from '../net/endpoint.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../outbound/port-leases.ts'
import { SourceRegistry } from '../outbound/source-registry.ts'
import { createTcpDialer } from '../outbound/tcp-dialer.ts'
import { createUdpOutlets } from '../outbound/udp-socket.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../proxy/connection.ts'
import { DeadlineClock } from '../proxy/deadline.ts'
import type { PublicSourceOf } from '../proxy/ports.ts'
import type { SessionMemory } from '../proxy/session-memory.ts'
import type { UdpLimits } from '../proxy/udp-flows.ts'
import type { Store } from '../store/store.ts'
import type { World } from './world.ts'

export interface DataPathParts {
  readonly store: Store
  readonly world: World
  readonly sessions: SessionLog
  readonly memory: SessionMemory
}

export interface DataPath {
  readonly pipeline: ConnectionPipeline
  /** what test origins ask about connections that came through it */
  readonly publicSourceOf: PublicSourceOf
  /** takes UDP ASSOCIATE over */
  readonly udp: UdpHandler
}

/** One association's share: many times what a call or a game needs (UD-07). */
const UDP_LIMITS: UdpLimits = {
  idleMs: 180_000,
  maxDestinations: 1_000,
  packetsPerSecond: 50_000,
  bytesPerSecond: 64 * 1024 * 1024,
}

/** The road without its doors. */
export function createDataPath({ timeouts }: LabConfig, { store, world, sessions, memory }: DataPathParts): DataPath {
  const clock = new DeadlineClock()
  const sources = new SourceRegistry()
  const limit = () => store.current().account.settings.maxConnectionsPerDestination
  const leases = new PortLeases({ limit, range: DEFAULT_PORT_RANGE })
  const pipeline = createConnectionPipeline(
    {
      ...world.ports,
      dial: createTcpDialer({ leases, sources, clock }),
      record: (record, decided) => {
        sessions.record(record)
        memory.add(decided === undefined ? { record } : { record, decided })
      },
      now: () => store.now(),
    },
    { connectTimeoutMs: timeouts.connectMs, idleTimeoutMs: timeouts.idleMs, clock },
  )
  const openOutlets = createUdpOutlets({ leases, sources: new SourceRegistry() })
  return {
    pipeline,
    publicSourceOf: sources.publicSourceOf,
    udp: createUdpHandler({ pipeline, openOutlets, limits: UDP_LIMITS }),
  }
}

/** Opens every door or none. The trial found every port free; one that was taken since is a problem like any other. */
export async function openDoors(config: LabConfig, { pipeline, udp }: DataPath, store: Store): Promise<Gateway> {
  const { timeouts, limits, listeners, file } = config
  try {
    return await openGateway(pipeline, listeners, {
      handshakeTimeoutMs: timeouts.handshakeMs,
      drainMs: timeouts.drainMs,
      ...limits,
      pseudonym: `egresslab-${process.pid}`,
      now: () => store.now(),
      udp,
    })
  } catch (thrown) {
    const message = `cannot listen: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw new InputError([{ severity: 'error', code: 'listen.failed', message, file }])
  }
}

/** The first door as a URL. */
export function proxyUrl({ listeners: [first] }: Pick<LabConfig, 'listeners'>): string {
  return `http://${formatTarget({ kind: 'name', name: first?.host ?? '127.0.0.1', port: first?.port ?? 8080 })}`
}
