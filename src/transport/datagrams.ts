// UDP as the data path sees it, whatever carries it: one socket bound to exactly one address and port, never a wildcard, never shared.

import type { Endpoint } from '../net/endpoint.ts'

export interface DatagramHandler {
  /** `payload` is valid during the call only. Datagrams come in the order in which the system got them. */
  onDatagram(payload: Buffer, from: Endpoint): void
  /** A datagram for `to` was not sent or is known not to have arrived, with the system's error: EMSGSIZE where it is too large, EAGAIN
   *  where the system takes no more now. What an ICMP message says (engine `linux` only) has `syscall: 'recvmsg'`: ECONNREFUSED and its
   *  like. */
  onFailure(cause: NodeJS.ErrnoException, to: Endpoint): void
}

export interface DatagramSocket {
  /** as really bound */
  readonly address: Endpoint
  /** Nothing is read while there is none; the system's buffer fills up and drops then. */
  setHandler(handler: DatagramHandler | undefined): void
  /** Sends `header` and `payload` as one datagram; both may be reused afterwards. Datagrams leave in the order of these calls. What fails
   *  is told later. */
  send(to: Endpoint, payload: Uint8Array, header?: Uint8Array): void
  close(): void
}
