// What a stream and a relay thread agree on while the thread has the stream's descriptor.

export interface Loan {
  /** bytes so far, from and to the peer; to the byte only once it is over */
  received(): number
  sent(): number
  /** The stream has been closed: the thread lets go as soon as it can. */
  stop(): void
}

export interface LoanReturn {
  readonly received: number
  readonly sent: number
  /** the peer's FIN was read, and everything before it is with the other side */
  readonly hasEnded: boolean
  /** FIN was said to the peer */
  readonly saidFin: boolean
  readonly firstFin: 'peer' | 'us' | undefined
  /** 0, or the negative errno the connection broke with */
  readonly status: number
}

/** What the thread is started with. */
export interface RelayData {
  /** the table of counts, {@link MAX_FLOWS} times four numbers */
  readonly counts: SharedArrayBuffer
  /** the epoll descriptor of the thread that starts it: should that one die, what the relay thread has is found there and closed */
  readonly owner: number
}

/** To the thread. The two descriptors of a flow stay the main thread's. */
export type ToRelay =
  | { readonly kind: 'join'; readonly slot: number; readonly one: number; readonly other: number }
  | { readonly kind: 'stop'; readonly slot: number }
  | { readonly kind: 'end' }

/** From the thread. */
export type FromRelay =
  /** its descriptors: what wakes it, and its epoll descriptor */
  | { readonly kind: 'ready'; readonly bell: number; readonly epoll: number }
  /** it has nothing to work with, and has touched no stream */
  | { readonly kind: 'failed' }
  /** The thread has let go of both. `one` and `other` say what became of each side. */
  | { readonly kind: 'over'; readonly slot: number; readonly one: SideEnd; readonly other: SideEnd }

export interface SideEnd {
  readonly hasEnded: boolean
  readonly saidFin: boolean
  /** of the two sides this one's peer said FIN first */
  readonly endedFirst: boolean
  readonly status: number
}

/** Flows one thread carries at most: the length of the shared table of counts, four numbers each. */
export const MAX_FLOWS = 4096
