// One end of a byte stream as the data path sees it, whatever carries it: a TCP descriptor of ours (engine `linux`), a socket of Node's
// (engine `node`), TLS, or a stream of HTTP/2. The reader pulls: nothing is read from the peer that nobody asked for, so flow control
// holds by construction.

import type { Socket } from 'node:net'
import type { Endpoint } from '../net/endpoint.ts'

/** How a stream ended, and who ended it. */
export interface StreamEnd {
  readonly by: 'peer' | 'us'
  /** `fin`: both directions ended in order, `by` whoever said FIN first; `reset`: RST; `timeout`: the peer is gone without a word (ETIMEDOUT, EHOSTUNREACH …) */
  readonly how: 'fin' | 'reset' | 'timeout' | 'destroyed'
  /** the system's error with `code` and `syscall`, where there is one */
  readonly cause?: Error
}

/** Who is told what happens on a stream. One handler at a time; nothing is told while there is none. */
export interface StreamHandler {
  /** {@link ByteStream.read} may have bytes, or the peer's FIN. Told once, and again only after `read` answered `undefined`. */
  onReadable(): void
  /** Everything that was written has been taken, after a {@link ByteStream.write} that answered false. */
  onWritable(): void
  /** The stream is gone; nothing is told afterwards. */
  onClose(end: StreamEnd): void
}

/** What the kernel knows of a TCP connection (tcp(7), TCP_INFO). */
export interface TcpInfo {
  /** smoothed round-trip time and the smallest one seen, µs */
  readonly rttUs: number
  readonly minRttUs: number
  /** segments sent more than once since the connection began */
  readonly retransmits: number
}

export interface ByteStream {
  /** Closed or reset, by us or by the peer. Everything below does nothing then. */
  readonly isClosed: boolean
  /** The peer's FIN has been read: all its bytes came out of {@link read} before, and none were put back. */
  readonly hasEnded: boolean
  /** bytes taken from the peer that {@link read} has not handed out yet (put back by {@link unread}, or read ahead by the engine) */
  readonly buffered: number
  /** bytes written that the transport has not taken yet; 0 whenever {@link write} answered true */
  readonly unsent: number
  /** A write has failed, and what is written from then on goes nowhere; the end itself is told behind what is left to be read. For those
   *  who do not read for now. */
  readonly hasWriteFailed: boolean
  readonly bytesRead: number
  readonly bytesWritten: number

  /** Replaces the handler. If there is something to read or the stream is closed, the new handler is told before this returns. */
  setHandler(handler: StreamHandler | undefined): void
  /** The next bytes, valid until the next `read` of any stream of this thread; `undefined`: nothing now, or nothing any more (see
   *  {@link hasEnded}, {@link isClosed}). Also answers `undefined` when this stream has had its share of the turn; `onReadable` follows
   *  in the next one. Where this read finds the end of a stream that is over, `onClose` is told before it returns. */
  read(): Buffer | undefined
  /** Puts bytes back in front of everything not read yet. The stream keeps them (a copy of those that {@link read} just handed out, no
   *  copy of others). Does not call `onReadable`. */
  unread(bytes: Buffer): void

  /** Writes all of `bytes`, which the caller may reuse afterwards (what the transport does not take at once is copied). False: not
   *  everything is taken yet; stop writing until `onWritable`. */
  write(bytes: Uint8Array): boolean
  /** FIN behind everything written. When the peer has ended too, the stream closes. */
  end(): void
  /** Closes; what is not sent yet is lost. */
  destroy(): void
  /** Closes so that the peer sees a reset, where the transport has one (RST, RST_STREAM). */
  reset(): void

  /** Calls `listener` once the stream is closed, at once if it is. For owners of what lives as long as the stream. */
  onceClosed(listener: () => void): void
  offClose(listener: () => void): void
  /** The two ends of the TCP connection; `undefined` where there is none or once it is gone. */
  localEndpoint(): Endpoint | undefined
  remoteEndpoint(): Endpoint | undefined
  /** TCP keep-alive after so many seconds of silence. */
  keepAlive(seconds: number): void
  /** `undefined` where the transport cannot tell. */
  tcpInfo(): TcpInfo | undefined
  /** The same connection as a socket of Node's (TLS, HTTP/2, clients that want a socket), always the same one. What was put back or
   *  read ahead is in it. This stream has no handler then; with a new one it goes on over that socket, and only one of the two may be
   *  read at a time. */
  asSocket(): Socket
}
