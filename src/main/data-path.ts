// The road of a connection, put together: dialler, pipeline, doors.

import type { LabConfig } from '../config/lab-config.ts'
import { InputError } from '../errors/issue.ts'
import { type Gateway, openGateway } from '../inbound/gateway.ts'
import type { UdpHandler } from '../inbound/socks5/socks5-handshake.ts'
import { createUdpHandler } from '../inbound/socks5/udp-association.ts'
import type { EventLog } from '../log/event-log.ts'
import type { SessionLog } from '../log/session-log.ts'
import { formatTarget } from '../net/endpoint.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../outbound/port-leases.ts'
import { SourceRegistry } from '../outbound/source-registry.ts'
import { createTcpDialer, type TcpDialerSettings } from '../outbound/tcp-dialer.ts'
import { createUdpOutlets } from '../outbound/udp-socket.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../proxy/connection.ts'
import { DeadlineClock } from '../proxy/deadline.ts'
import type { PublicSourceOf } from '../proxy/ports.ts'
import type { SessionMemory } from '../proxy/session-memory.ts'
import type { Store } from '../store/store.ts'
import type { DoorCertificates } from './door-certificates.ts'
import { createPressureWarning } from './port-pressure.ts'
import type { World } from './world.ts'

export interface DataPathParts {
  readonly store: Store
  readonly world: World
  readonly sessions: SessionLog
  readonly memory: SessionMemory
  readonly events: EventLog
  /** hears how attempts from egress addresses went, and says which of them to take for lost */
  readonly egress?: Pick<TcpDialerSettings, 'onAttempt' | 'isLost'>
}

export interface DataPath {
  readonly pipeline: ConnectionPipeline
  readonly leases: PortLeases
  /** what test origins ask about connections that came through it */
  readonly publicSourceOf: PublicSourceOf
  /** the same about datagrams */
  readonly publicUdpSourceOf: PublicSourceOf
  /** takes UDP ASSOCIATE over; undefined: it is switched off */
  readonly udp: UdpHandler | undefined
}

/** The road without its doors. */
export function createDataPath(config: LabConfig, { store, world, sessions, memory, events, egress }: DataPathParts): DataPath {
  const { timeouts, udp } = config
  const { exitOf } = world
  const clock = new DeadlineClock()
  const sources = new SourceRegistry()
  const limit = () => store.current().account.settings.maxConnectionsPerDestination
  const leases = new PortLeases({
    limit,
    range: { ...DEFAULT_PORT_RANGE, except: listeningPorts(config) },
    onPressure: createPressureWarning((message) => events.warn(message)),
  })
  const pipeline = createConnectionPipeline(
    {
      ...world.ports,
      dial: createTcpDialer({ leases, sources, clock, exitOf, ...egress }),
      record: (record, decided) => {
        sessions.record(record)
        memory.add(decided === undefined ? { record } : { record, decided })
      },
      now: () => store.now(),
    },
    { connectTimeoutMs: timeouts.connectMs, idleTimeoutMs: timeouts.idleMs, clock },
  )
  const udpSources = new SourceRegistry()
  const openOutlets = createUdpOutlets({ leases, sources: udpSources, exitOf })
  return {
    pipeline,
    leases,
    publicSourceOf: sources.publicSourceOf,
    publicUdpSourceOf: udpSources.publicSourceOf,
    udp: udp.enabled ? createUdpHandler({ pipeline, openOutlets, limits: udp }) : undefined,
  }
}

/** Connections do not leave from ports that the lab itself listens on, at whatever address. */
function listeningPorts({ listeners, api, destinations }: LabConfig): number[] {
  const origins = destinations.flatMap(({ addresses }) => addresses.flatMap(({ ports }) => [...ports.values()]))
  return [...listeners.map(({ port }) => port), api.port, ...origins]
}

/** Opens every door or none. The trial found every port free; one that was taken since is a problem like any other. */
export async function openDoors(
  config: LabConfig,
  { pipeline, udp }: DataPath,
  { store, tlsFor }: Pick<DataPathParts, 'store'> & Pick<DoorCertificates, 'tlsFor'>,
): Promise<Gateway> {
  const { timeouts, limits, listeners, file } = config
  try {
    return await openGateway(pipeline, listeners, {
      handshakeTimeoutMs: timeouts.handshakeMs,
      drainMs: timeouts.drainMs,
      ...limits,
      pseudonym: `egresslab-${process.pid}`,
      now: () => store.now(),
      tlsFor,
      ...(udp === undefined ? {} : { udp }),
    })
  } catch (thrown) {
    const message = `cannot listen: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw new InputError([{ severity: 'error', code: 'listen.failed', message, file }])
  }
}

/** The first door as a URL. */
export function proxyUrl({ listeners: [first] }: Pick<LabConfig, 'listeners'>): string {
  const scheme = first?.tls?.mode === 'required' ? 'https' : 'http'
  return `${scheme}://${formatTarget({ kind: 'name', name: first?.host ?? '127.0.0.1', port: first?.port ?? 8080 })}`
}
