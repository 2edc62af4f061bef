// The traffic of the data plane as the API sees it, whether it runs in this thread or in workers.

import type { GatewayError } from '../errors/gateway-error.ts'
import type { PortLeaseCounts, PortLeases } from '../outbound/port-leases.ts'
import type { ConnectionCounts, DatagramCounts } from '../proxy/counters.ts'
import type { OpenSession } from '../proxy/live-sessions.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'

export interface DataPlaneTraffic {
  /** Brings everything below up to date. */
  refresh(): Promise<void>
  /** Resolves when every new connection is decided by the state as it is now. */
  inForce(): Promise<void>
  /** worker threads that are up, and the oldest revision one of them decides by */
  standing(): { readonly workers: number; readonly revision: number }
  /** Every open session with its decision. */
  decided(): readonly OpenSession[]
  find(id: string): OpenSession | undefined
  /** Cuts one session with a reset on both sides; nothing where it is not open. */
  cut(id: string, why: GatewayError): void
  /** Calls the listener for every session that opens. Returns the function that unsubscribes it. */
  onOpen(listener: (session: OpenSession) => void): () => void
  counts(): ConnectionCounts
  datagrams(): DatagramCounts
  leases(): Pick<PortLeaseCounts, 'refused' | 'pressure'>
  /** What is not as it should be, one clause each. */
  troubles(): readonly string[]
}

/** Traffic of this thread: always up to date, and every change is in force at once. */
export function inProcessTraffic({ sessions, ...pipeline }: ConnectionPipeline, leases: PortLeases): DataPlaneTraffic {
  return {
    refresh: async () => {},
    inForce: async () => {},
    standing: () => ({ workers: 1, revision: pipeline.snapshot().revision }),
    decided: () => sessions.decided(),
    find: (id) => sessions.find(id),
    cut: (id, why) => sessions.cut(id, why),
    onOpen: (listener) => sessions.subscribe(listener),
    counts: () => pipeline.counts(),
    datagrams: () => pipeline.datagrams.read(),
    leases: () => leases.counts(),
    troubles: () => [],
  }
}
