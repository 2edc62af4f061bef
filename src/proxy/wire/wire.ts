// One end of a connection as the data path needs it: bytes in, bytes out, FIN and reset told apart, and a peer that does not read
// noticed. What it runs on is somebody else's: a kernel socket (HandleWire) or a stream of Node's (StreamWire).

import type { Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.ts'

/** Silence after which a peer is asked whether it is still there (TU-10). */
export const KEEP_ALIVE_S = 60

/** Hears what happens on a wire. Nothing is told while nobody is attending. */
export interface WireListener {
  /** The bytes are valid during the call only. */
  onBytes(bytes: Buffer): void
  /** The peer has said all it has to say (FIN). Told once to each listener, behind the last bytes. */
  onEnd(): void
  /** Broken, by a reset for instance; `onClose` follows. */
  onError(cause: Error): void
  /** Gone, for whatever reason; the last that is told. */
  onClose(): void
  /** All that was written is taken, after a write that answered false. */
  onDrain(): void
}

export interface Wire {
  /** Has it been closed or reset, by us or by the peer? */
  readonly destroyed: boolean
  /** Have the peer's last bytes been handed over, and its FIN behind them? */
  readonly hasEnded: boolean
  /** bytes that arrived and nobody has taken */
  readonly waiting: number
  /** bytes that were written and are not taken yet */
  readonly unsent: number
  readonly bytesRead: number
  readonly bytesWritten: number

  /** From now on this listener is told everything, at once what it missed: bytes that are waiting, FIN, close. `undefined`: nobody; what
   *  arrives then waits, and beyond 64 KB the peer has to. */
  attend(listener: WireListener | undefined): void
  /** No more bytes are told until {@link resume}; the peer has to wait. */
  pause(): void
  resume(): void
  /** Puts bytes back, ahead of all that is waiting; they are the wire's from here on. */
  unread(bytes: Buffer): void

  /** Answers whether all of it has been taken; else `onDrain` says when. The bytes are the wire's from here on. */
  write(bytes: Uint8Array): boolean
  /** The same with bytes that are valid during the call only. */
  forward(bytes: Buffer): boolean
  /** Says FIN behind what was written. A wire whose peer has ended too closes then. */
  end(): void
  /** Closes, what was not sent yet is lost; the peer sees FIN, or a reset where it had more to say. */
  destroy(): void
  /** Closes so that the peer sees a reset where the transport has one (TU-07). */
  reset(): void

  /** Is called when the wire is gone, unless {@link offClose} comes before; at once when it is. */
  onceClosed(listener: () => void): void
  offClose(listener: () => void): void
  /** The two ends of a TCP connection; undefined once it is gone. */
  localEndpoint(): Endpoint | undefined
  remoteEndpoint(): Endpoint | undefined
  /** Looks for a dead peer when the connection is silent (TU-10). */
  keepAlive(): void
  /** The same connection as a socket of Node's, for those who need one: always the same. What is waiting is unread in it. The wire goes
   *  on over that socket, as long as only one of the two is read. */
  asSocket(): Socket
}
