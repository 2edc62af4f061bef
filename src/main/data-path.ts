// The road of a connection, put together: dialler, pipeline, doors.

import type { LabConfig } from '../config/lab-config.ts'
import { InputError } from '../errors/issue.ts'
import { type Gateway, openGateway } from '../inbound/gateway.ts'
import type { SessionLog } from '../log/session-log.ts'
import { formatTarget } from '../net/endpoint.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../outbound/port-leases.ts'
import { SourceRegistry } from '../outbound/source-registry.ts'
import { createTcpDialer } from '../outbound/tcp-dialer.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../proxy/connection.ts'
import { DeadlineClock } from '../proxy/deadline.ts'
import type { PublicSourceOf } from '../proxy/ports.ts'
import type { SessionMemory } from '../proxy/session-memory.ts'
import type { Store } from '../store/store.ts'
import type { World } from './world.ts'

export interface DataPathParts {
  readonly store: Store
  readonly world: World
  readonly sessions: SessionLog
  readonly memory: SessionMemory
}

/** The pipeline, and what test origins ask about connections that came through it. */
export function createPipeline(
  { timeouts }: LabConfig,
  { store, world, sessions, memory }: DataPathParts,
): { readonly pipeline: ConnectionPipeline; readonly publicSourceOf: PublicSourceOf } {
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
  return { pipeline, publicSourceOf: sources.publicSourceOf }
}

/** Opens every door or none. The trial found every port free; one that was taken since is a problem like any other. */
export async function openDoors(config: LabConfig, pipeline: ConnectionPipeline, store: Store): Promise<Gateway> {
  const { timeouts, limits, listeners, file } = config
  try {
    return await openGateway(pipeline, listeners, {
      handshakeTimeoutMs: timeouts.handshakeMs,
      drainMs: timeouts.drainMs,
      ...limits,
      pseudonym: `egresslab-${process.pid}`,
      now: () => store.now(),
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
