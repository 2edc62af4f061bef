// The body of a request on its way to an origin. It moves bytes only while the origin takes them.

import type { GatewayError } from '../../errors/gateway-error.ts'

/** Receives a request body. */
export interface BodySink {
  /** `bytes` are valid only during the call. False: pause until {@link RequestBody.resume}. */
  write(bytes: Buffer): boolean
  /** The body is complete. */
  end(): void
  /** Sends what {@link write} gathered. */
  flush(): void
}

export interface RequestBody {
  /** everything has been read from the client */
  readonly isDone: boolean
  /** Moves what has arrived to this sink, and the rest as it arrives. */
  start(sink: BodySink): void
  /** The sink can take more. */
  resume(): void
  /** The sink takes no more; the rest is discarded later. */
  stop(): void
}

/** Why a request body cannot be completed. */
export type OnBodyFailure = (error: GatewayError) => void
