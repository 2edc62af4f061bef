// The body of a request on its way to an origin, pulled: whoever has it moves bytes only as long as the origin takes them.

import type { GatewayError } from '../../errors/gateway-error.ts'

/** Where a request body goes. */
export interface BodySink {
  /** `bytes` are valid during the call only. False: no more until {@link RequestBody.resume}. */
  write(bytes: Buffer): boolean
  /** The body is complete. */
  end(): void
  /** Sends what {@link write} gathered. */
  flush(): void
}

export interface RequestBody {
  /** everything has been taken from the client */
  readonly isDone: boolean
  /** Moves what has arrived to this sink, and everything behind it as it comes. */
  start(sink: BodySink): void
  /** The sink has room again. */
  resume(): void
  /** The sink takes no more; what is still to come is thrown away later. */
  stop(): void
}

/** Why a request body cannot be completed. */
export type OnBodyFailure = (error: GatewayError) => void
