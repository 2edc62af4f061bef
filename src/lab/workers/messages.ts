// The messages between the main thread and its workers, as plain data. Each direction keeps its order: a report covers
// everything sent before it.

import type { MessagePort } from 'node:worker_threads'
import type { LoadConfigOptions } from '../../config/load.ts'
import type { ReadFiles } from '../../config/source-document.ts'
import type { OwnSockets } from '../../dns/destination-guard.ts'
import type { ConnectionErrorCode } from '../../errors/catalogue.ts'
import type { Issue } from '../../errors/issue.ts'
import type { OwnPages } from '../../inbound/own-pages.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import type { Ip } from '../../net/ip.ts'
import type { PortLeaseCounts } from '../../outbound/port-leases.ts'
import type { ConnectionCounts, DatagramCounts } from '../../proxy/counters.ts'
import type { LiveSession } from '../../proxy/live-sessions.ts'
import type { Placeholder, PublicSource, SessionDecision } from '../../proxy/stage-values.ts'
import type { StateVersion } from '../../store/replica.ts'
import type { EngineName } from '../../transport/engine.ts'
import type { SharedSignIn } from '../open-sign-in.ts'

/** A configuration as the main thread read it, and the state over it: the same bytes for everybody. */
export interface SharedConfig {
  readonly file: string
  /** with the contents of every file that was read */
  readonly load: LoadConfigOptions
  readonly version: StateVersion
}

export interface WorkerStart extends SharedConfig {
  /** what the configuration was read from when the lab started: listeners, say, stay as they were then */
  readonly filesAtStart: ReadFiles
  /** folder of the development certificates */
  readonly certificates: string
  /** 0-based, of so many */
  readonly index: number
  readonly of: number
  /** the engine the main thread found to work */
  readonly engine: EngineName
  /** the ports the listeners already have, in the order of the listeners; absent: this worker finds them */
  readonly ports?: readonly number[]
  /** what of the lab listens, for the guard */
  readonly ownSockets: OwnSockets
  /** where Gateway DNS listens; absent: there is none, and no placeholders */
  readonly gatewayDns?: readonly Endpoint[]
  /** what was read of geo databases into memory, by path */
  readonly geo: ReadonlyMap<string, SharedArrayBuffer>
  /** memory of {@link SharedUseTable} and {@link SharedClients} */
  readonly uses: SharedArrayBuffer
  readonly clients: SharedArrayBuffer
  /** absent: no listener has a sign-in page */
  readonly signIn?: SharedSignIn
  readonly ownPages: OwnPages
  /** clients served at one time over all workers, and turned away by all of them */
  readonly room: { readonly maxClients: number; readonly maxRefusedClients: number }
  /** takes {@link SourceMessage} */
  readonly sources: MessagePort
}

export type MessageToWorker =
  | { readonly kind: 'version'; readonly version: StateVersion }
  | { readonly kind: 'config'; readonly config: SharedConfig }
  | { readonly kind: 'report'; readonly id: number }
  /** while on, sessions are reported as they open, and with their decisions as they finish */
  | { readonly kind: 'watch'; readonly on: boolean }
  | { readonly kind: 'cut'; readonly id: string; readonly code: ConnectionErrorCode; readonly message: string }
  | {
      readonly kind: 'placeholder'
      readonly id: number
      /** absent: the address is no placeholder */
      readonly found?: Omit<Placeholder, 'hold'>
      readonly refused?: { readonly code: ConnectionErrorCode; readonly message: string }
    }
  | { readonly kind: 'stop' }

export type MessageFromWorker =
  /** what the system keeps of the worker's engine if the worker dies, for `Engine.reclaim` */
  | { readonly kind: 'engine'; readonly descriptor: number }
  | { readonly kind: 'ready'; readonly ports: readonly number[] }
  | { readonly kind: 'failed'; readonly issues: readonly Issue[] }
  | { readonly kind: 'took'; readonly revision: number }
  | SessionMessage
  | { readonly kind: 'report'; readonly id: number; readonly report: WorkerReport }
  | {
      readonly kind: 'event'
      readonly level: 'info' | 'warn' | 'error'
      readonly message: string
      /** of an error, with its stack */
      readonly cause?: Error
    }
  /** asks which name a placeholder stands for */
  | { readonly kind: 'placeholder'; readonly id: number; readonly address: Ip }
  /** a connection to it begins, or ends */
  | { readonly kind: 'hold'; readonly id: number; readonly address: Ip }
  | { readonly kind: 'letGo'; readonly id: number }
  | { readonly kind: 'stopped' }

/** Sessions since the last batch: their ids, and their records as JSON. */
export interface SessionMessage {
  readonly kind: 'sessions'
  readonly ids: readonly string[]
  readonly lines: readonly string[]
  readonly opened: readonly OpenSessionMessage[]
  readonly decided: readonly DecisionMessage[]
}

/** A decision without the policy it was made by, which the main thread has under that revision. */
export interface DecisionMessage extends Omit<SessionDecision, 'snapshot'> {
  readonly id: string
  readonly revision: number
}

export interface OpenSessionMessage {
  readonly session: LiveSession
  readonly decided: DecisionMessage | undefined
}

export interface WorkerNumbers {
  readonly counts: ConnectionCounts
  readonly datagrams: DatagramCounts
  readonly leases: PortLeaseCounts
}

export interface WorkerReport {
  readonly numbers: WorkerNumbers
  readonly open: readonly OpenSessionMessage[]
  /** decisions of finished sessions that were not sent before */
  readonly decided: readonly DecisionMessage[]
}

/** Who stands behind an outgoing connection to a test origin. */
export type SourceMessage =
  | {
      readonly kind: 'add'
      readonly id: number
      readonly transport: 'tcp' | 'udp'
      readonly bound: Endpoint
      readonly dialled: Endpoint
      readonly source: PublicSource
    }
  | { readonly kind: 'remove'; readonly id: number }
