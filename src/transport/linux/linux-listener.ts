// A listening socket of ours. Level-triggered: connections that a turn leaves wait for the next.

import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { Endpoint } from '../../net/endpoint.ts'
import { parseIp } from '../../net/ip.ts'
import type { ByteStream } from '../byte-stream.ts'
import type { ListeningSocket, ListenOptions } from '../engine.ts'
import { systemError } from '../system-error.ts'
import { type EventLoop, OUT_OF_DESCRIPTORS_PAUSE_MS, type Watcher } from './event-loop.ts'
import { ACCEPTED_MASK } from './event-masks.ts'
import { LinuxStream } from './linux-stream.ts'
import type { StreamOverSocket } from './socket-on.ts'
import { EPOLLIN, OPTIONS, type SystemCalls } from './system-calls.ts'

/** Connections one listener accepts in a turn. */
const ACCEPTS_PER_TURN = 64
/** and as it closes: more than wait in a backlog, and an end to it while more come */
const ACCEPTS_AT_END = 4096
/** libuv's own for servers of Node's */
const DEFAULT_BACKLOG = 511
/** no descriptor or memory left: EMFILE, ENFILE, ENOBUFS, ENOMEM */
const EXHAUSTED = new Set([-24, -23, -105, -12])
const EAGAIN = -11
const EINVAL = -22

/** Rejects with an error as `net.Server` has it: `code`, `syscall: 'listen'`, `address`, `port`. */
export async function listen(
  loop: EventLoop,
  options: ListenOptions,
  overSocket: StreamOverSocket,
  onConnection: (stream: ByteStream) => void,
): Promise<ListeningSocket> {
  const { address, scope } = await addressOf(options.host)
  const to = parseIp(address)
  const fail = (status: number) => listenError(status, address, options.port)
  if (to === undefined) throw fail(EINVAL)
  const { calls } = loop
  const fd = calls.tcpSocket(to.family)
  if (fd < 0) throw fail(fd)
  const bound = { ip: to, port: options.port }
  const status =
    prepare(calls, fd, options, to.family) ||
    calls.bind(fd, bound, scope) ||
    calls.listen(fd, options.backlog ?? DEFAULT_BACKLOG)
  const listener = status === 0 ? new LinuxListener(loop, fd, overSocket, onConnection) : undefined
  const watched = listener === undefined ? status : loop.add(fd, listener, EPOLLIN)
  if (listener === undefined || watched !== 0) {
    calls.close(fd)
    throw fail(watched)
  }
  listener.address = { ip: to, port: calls.localEndpoint(fd)?.port ?? options.port }
  return listener
}

class LinuxListener implements ListeningSocket, Watcher {
  address: Endpoint = { ip: { family: 4, words: [0], text: '0.0.0.0' }, port: 0 }
  readonly #loop: EventLoop
  readonly #overSocket: StreamOverSocket
  readonly #onConnection: (stream: ByteStream) => void
  #fd: number
  #pause: NodeJS.Timeout | undefined
  /** How many to accept in a turn: about as many as came in the last one, because asking whether there is another costs a call. Those that
   *  are left raise the next event. */
  #expected = 1

  constructor(loop: EventLoop, fd: number, overSocket: StreamOverSocket, onConnection: (stream: ByteStream) => void) {
    this.#loop = loop
    this.#fd = fd
    this.#overSocket = overSocket
    this.#onConnection = onConnection
  }

  /** Takes in who is connected already: the system would reset them. */
  async close(): Promise<void> {
    this.#accept(ACCEPTS_AT_END)
    this.destroy()
  }

  destroy(): void {
    const fd = this.#fd
    this.#fd = -1
    clearTimeout(this.#pause)
    if (fd < 0) return
    this.#loop.forget(fd)
    this.#loop.calls.close(fd)
  }

  onEvents(): void {
    const came = this.#accept(this.#expected)
    this.#expected = came < this.#expected ? Math.max(1, came) : Math.min(2 * came, ACCEPTS_PER_TURN)
  }

  /** Answers how many there were, `most` at most. */
  #accept(most: number): number {
    const { calls } = this.#loop
    for (let accepted = 0; accepted < most; accepted++) {
      const client = this.#fd < 0 ? EAGAIN : calls.accept(this.#fd)
      if (client >= 0) this.#welcome(client, calls.acceptedFrom())
      else if (client === EAGAIN) return accepted
      else if (EXHAUSTED.has(client)) {
        this.#waitForDescriptors()
        return accepted
      }
      // else the connection is gone before it was accepted (accept(2), "Error handling")
    }
    return most
  }

  #welcome(fd: number, remote: Endpoint | undefined): void {
    const loop = this.#loop
    const overSocket = this.#overSocket
    const stream = new LinuxStream(loop, fd, { isPrompt: true, watchesWrites: false, remote, overSocket })
    if (loop.add(fd, stream, ACCEPTED_MASK) === 0) this.#onConnection(stream)
    else stream.destroy()
  }

  /** Clients wait in the backlog; asking epoll again at once would spin. */
  #waitForDescriptors(): void {
    this.#loop.modify(this.#fd, 0)
    this.#pause = setTimeout(() => this.#loop.modify(this.#fd, EPOLLIN), OUT_OF_DESCRIPTORS_PAUSE_MS)
  }
}

/** What `net.Server` sets: addresses of connections in TIME_WAIT may be bound, `::` takes IPv4 too. Accepted connections inherit
 *  TCP_NODELAY and TCP_USER_TIMEOUT. */
function prepare(calls: SystemCalls, fd: number, { reusePort, userTimeoutMs }: ListenOptions, family: 4 | 6): number {
  return (
    calls.setOption(fd, OPTIONS.reuseAddress, 1) ||
    (reusePort === true ? calls.setOption(fd, OPTIONS.reusePort, 1) : 0) ||
    (family === 6 ? calls.setOption(fd, OPTIONS.ipv6Only, 0) : 0) ||
    (userTimeoutMs === undefined ? 0 : calls.setOption(fd, OPTIONS.userTimeout, userTimeoutMs)) ||
    calls.setOption(fd, OPTIONS.noDelay, 1)
  )
}

/** The first address of a host name, as `net.Server` takes it; a link-local one with its interface. */
async function addressOf(host: string): Promise<{ readonly address: string; readonly scope: number }> {
  const found = parseIp(host) === undefined ? (await lookup(host)).address : host
  const [address = found, zone] = found.split('%')
  if (zone === undefined) return { address, scope: 0 }
  const numbered = Number(zone)
  const scope = Number.isInteger(numbered) ? numbered : (networkInterfaces()[zone] ?? []).find(isIpv6)?.scopeid
  return { address, scope: scope ?? 0 }
}

function isIpv6({ family }: { readonly family: string }): boolean {
  return family === 'IPv6'
}

function listenError(status: number, address: string, port: number): Error {
  const error = systemError(status, 'listen')
  const where = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  error.message = `${error.message} ${where}`
  return Object.assign(error, { address, port })
}
