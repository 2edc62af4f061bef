// The road of a connection, put together: dialler, pipeline, doors.

import type { LabConfig } from '../config/lab-config.ts'
import { InputError } from '../errors/issue.ts'
import { type Gateway, type GatewaySettings, openGateway } from '../inbound/gateway.ts'
import type { UdpHandler } from '../inbound/socks5/socks5-handshake.ts'
import { createUdpHandler } from '../inbound/socks5/udp-association.ts'
import type { EventLog } from '../log/event-log.ts'
import { formatTarget } from '../net/endpoint.ts'
import { delayByDistance } from '../outbound/distant-dial.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../outbound/port-leases.ts'
import type { Sources } from '../outbound/source-registry.ts'
import { createTcpDialer, type TcpDialerSettings } from '../outbound/tcp-dialer.ts'
import { createUdpOutlets } from '../outbound/udp-socket.ts'
import type { UseCounts } from '../outbound/use-counts.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../proxy/connection.ts'
import type { Ports } from '../proxy/ports.ts'
import type { Store } from '../store/store.ts'
import type { Engine } from '../transport/engine.ts'
import { TimerWheel } from '../transport/timer-wheel.ts'
import type { DoorCertificates } from './door-certificates.ts'
import { createPressureWarning } from './port-pressure.ts'
import type { World } from './world.ts'

export interface DataPathParts {
  /** how connections enter and leave */
  readonly engine: Engine
  readonly store: Pick<Store, 'current' | 'now'>
  readonly world: Pick<World, 'ports' | 'exitOf'>
  readonly record: Ports['record']
  readonly events: Pick<EventLog, 'warn'>
  /** who is behind outgoing connections, for test origins */
  readonly sources: Readonly<Record<'tcp' | 'udp', Sources>>
  /** hears how attempts from egress addresses went, and says which of them to take for lost */
  readonly egress?: Pick<TcpDialerSettings, 'onAttempt' | 'isLost'>
  /** what [E7] is counted in; absent: this data path is the only one */
  readonly shared?: PortShare
}

/** This data path's share of source ports, and the counts it has in common with the others (EG-04). */
export interface PortShare {
  readonly uses: UseCounts
  readonly slice: { readonly index: number; readonly of: number }
}

export interface DataPath {
  readonly engine: Engine
  readonly pipeline: ConnectionPipeline
  readonly leases: PortLeases
  /** takes UDP ASSOCIATE over; undefined: it is switched off */
  readonly udp: UdpHandler | undefined
}

/** Fine enough for data centers 1,000 km apart. */
const FINE_TICK_MS = 2

/** The road without its doors. */
export function createDataPath(config: LabConfig, parts: DataPathParts): DataPath {
  const { engine, store, world, events, sources, shared, egress } = parts
  const { timeouts, udp, distance } = config
  const { exitOf } = world
  const clock = new TimerWheel()
  const limit = () => store.current().account.settings.maxConnectionsPerDestination
  const leases = new PortLeases({
    limit,
    range: {
      ...DEFAULT_PORT_RANGE,
      except: listeningPorts(config),
      ...(shared === undefined ? {} : { slice: shared.slice }),
    },
    ...(shared === undefined ? {} : { uses: shared.uses }),
    onPressure: createPressureWarning((message) => events.warn(message)),
  })
  const dial = createTcpDialer({ engine, leases, sources: sources.tcp, clock, exitOf, ...egress })
  const pipeline = createConnectionPipeline(
    {
      ...world.ports,
      dial: distance === undefined ? dial : delayByDistance(dial, { ...distance, clock: new TimerWheel(FINE_TICK_MS) }),
      record: parts.record,
      now: () => store.now(),
    },
    { connectTimeoutMs: timeouts.connectMs, idleTimeoutMs: timeouts.idleMs, clock },
  )
  const openOutlets = createUdpOutlets({ leases, sources: sources.udp, exitOf })
  return {
    engine,
    pipeline,
    leases,
    udp: udp.enabled ? createUdpHandler({ pipeline, openOutlets, limits: udp }) : undefined,
  }
}

/** Connections do not leave from ports that the lab itself listens on, at whatever address. */
function listeningPorts({ listeners, api, destinations }: LabConfig): number[] {
  const origins = destinations.flatMap(({ addresses }) => addresses.flatMap(({ ports }) => [...ports.values()]))
  return [...listeners.map(({ port }) => port), api.port, ...origins]
}

/** What doors have in common with those of other threads. */
export type DoorsTogether = Pick<GatewaySettings, 'clients' | 'sharesPorts' | 'signIn'> &
  Partial<Pick<GatewaySettings, 'maxClients' | 'maxTurnedAway'>>

/** Opens every door or none. The trial found every port free; one that was taken since is a problem like any other. */
export async function openDoors(
  config: LabConfig,
  { engine, pipeline, udp }: DataPath,
  { store, tlsFor, ...together }: Pick<DataPathParts, 'store'> & Pick<DoorCertificates, 'tlsFor'> & DoorsTogether,
): Promise<Gateway> {
  const { timeouts, limits, listeners, file } = config
  try {
    return await openGateway(pipeline, listeners, {
      handshakeTimeoutMs: timeouts.handshakeMs,
      drainMs: timeouts.drainMs,
      responseTimeoutMs: timeouts.responseMs,
      keepAliveMs: timeouts.keepAliveMs,
      bodyIdleMs: timeouts.bodyIdleMs,
      ...limits,
      ...together,
      engine,
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
