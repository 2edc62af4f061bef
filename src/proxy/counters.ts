// The counters of the pipeline: totals since start, read by health checks and metrics. They hold no names or addresses
// (LG-03).

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import type { SessionEnd } from './session.ts'

/** Connection totals since start; bytes of closed sessions only. */
export interface ConnectionCounts {
  readonly active: number
  readonly opened: number
  readonly closed: number
  /** connections that failed before they were established, by error code */
  readonly refused: Readonly<Partial<Record<ConnectionErrorCode, number>>>
  /** origin → client and client → origin, of closed sessions */
  readonly bytesReceived: number
  readonly bytesSent: number
}

/** Why a datagram was dropped. From the client: `stranger` (not from the client's address or port), `malformed`,
 *  `fragment`, `too_fast`, `too_many_destinations`, `queue_full` (while its destination is being decided), `unrouted`
 *  (refused, or no decision possible), `too_large`, `congested`, `unreachable` (reported by ICMP, where the engine
 *  receives it); from destinations: `unsolicited` (a host the client did not send to), `too_fast`. */
export type DatagramDrop =
  | 'stranger'
  | 'malformed'
  | 'fragment'
  | 'too_fast'
  | 'too_many_destinations'
  | 'queue_full'
  | 'unrouted'
  | 'too_large'
  | 'congested'
  | 'unreachable'
  | 'unsolicited'

/** Datagram totals since start. */
export interface DatagramCounts {
  readonly associations: number
  /** client → destination and back */
  readonly sent: number
  readonly received: number
  readonly dropped: Readonly<Partial<Record<DatagramDrop, number>>>
}

/** Counts the datagrams of all associations. Nothing is logged per datagram: drops are silent (UD-03) and counted here.
 *   */
export class DatagramCounters {
  associations = 0
  sent = 0
  received = 0
  readonly #dropped: Partial<Record<DatagramDrop, number>> = {}

  dropped(reason: DatagramDrop): void {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1
  }

  read(): DatagramCounts {
    const { associations, sent, received } = this
    return { associations, sent, received, dropped: { ...this.#dropped } }
  }
}

/** Counts connections as they open, close and fail. */
export class ConnectionCounters {
  #opened = 0
  #closed = 0
  #bytesReceived = 0
  #bytesSent = 0
  readonly #refused: Partial<Record<ConnectionErrorCode, number>> = {}

  opened(): void {
    this.#opened++
  }

  refused(code: ConnectionErrorCode): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1
  }

  closed(end: SessionEnd): void {
    this.#closed++
    this.#bytesReceived += end.bytesReceived
    this.#bytesSent += end.bytesSent
  }

  read(active: number): ConnectionCounts {
    return {
      active,
      opened: this.#opened,
      closed: this.#closed,
      refused: { ...this.#refused },
      bytesReceived: this.#bytesReceived,
      bytesSent: this.#bytesSent,
    }
  }
}
