// What the pipeline counts: totals since start, read by health and metrics. No names, no addresses (LG-03).

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import type { SessionEnd } from './session.ts'

export interface ConnectionCounts {
  readonly active: number
  readonly opened: number
  readonly closed: number
  /** connections that never got through, by error code */
  readonly refused: Readonly<Partial<Record<ConnectionErrorCode, number>>>
  /** origin → client and client → origin, of closed sessions */
  readonly bytesReceived: number
  readonly bytesSent: number
}

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
