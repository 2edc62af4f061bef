// The engine `linux`: TCP by system calls of our own, in Node's event loop.

import type { Endpoint } from '../../net/endpoint.ts'
import type { ByteStream } from '../byte-stream.ts'
import type { DatagramSocket } from '../datagrams.ts'
import type {
  DialListener,
  DialRequest,
  Engine,
  ListeningSocket,
  ListenOptions,
  PendingDial,
  SocketBinding,
} from '../engine.ts'
import { CapturedDatagrams, type OnCaptured } from './captured-datagrams.ts'
import { EventLoop } from './event-loop.ts'
import { DatagramSockets } from './linux-datagrams.ts'
import { LinuxDial } from './linux-dial.ts'
import { listen } from './linux-listener.ts'
import { LinuxStream } from './linux-stream.ts'
import { loadFfi } from './load-ffi.ts'
import { openNative } from './native.ts'
import { reclaim } from './reclaim.ts'
import { RelayThread } from './relay-thread.ts'
import type { StreamOverSocket } from './socket-on.ts'
import { SystemCalls } from './system-calls.ts'

const OLDEST_NODE = [26, 1] as const
/** A relay thread that ended at once is not started again before. */
const RELAY_PAUSE_MS = 5_000
const ARCHITECTURES = ['x64', 'arm64']

/** The engine of one thread: listens, dials, relays, and opens UDP sockets. */
export class LinuxEngine implements Engine {
  readonly name = 'linux'
  readonly sharesPorts = true
  readonly takesBindings = true
  readonly #loop: EventLoop
  readonly #overSocket: StreamOverSocket
  #datagrams: DatagramSockets | undefined
  #relay: RelayThread | undefined
  /** when it was started */
  #relayBegan = 0

  constructor(calls: SystemCalls, overSocket: StreamOverSocket) {
    this.#loop = new EventLoop(calls)
    this.#overSocket = overSocket
  }

  /** descriptors of listeners, dials and streams that are open */
  get open(): number {
    return this.#loop.watched
  }

  /** how often the loop has looked for events */
  get turns(): number {
    return this.#loop.turn
  }

  get descriptor(): number {
    return this.#loop.descriptor
  }

  listen(options: ListenOptions, onConnection: (stream: ByteStream) => void): Promise<ListeningSocket> {
    return listen(this.#loop, options, this.#overSocket, onConnection)
  }

  dial(request: DialRequest, listener: DialListener): PendingDial {
    return new LinuxDial(this.#loop, request, this.#overSocket, listener)
  }

  async bindDatagrams(at: Endpoint, binding?: SocketBinding): Promise<DatagramSocket> {
    this.#datagrams ??= new DatagramSockets(this.#loop)
    const socket = this.#datagrams.bind(at, binding)
    if (socket instanceof Error) throw socket
    return socket
  }

  /** Captures UDP in this process's network namespace, where every address is local. */
  captureDatagrams(onDatagram: OnCaptured): CapturedDatagrams {
    return new CapturedDatagrams(this.#loop, onDatagram)
  }

  passOn(one: ByteStream, other: ByteStream, onReturn: (endedFirst: ByteStream | undefined) => void): boolean {
    if (!(one instanceof LinuxStream && other instanceof LinuxStream)) return false
    if (!one.canBeLent || !other.canBeLent) return false
    return this.#relayThread()?.join(one, other, onReturn) ?? false
  }

  /** One that has ended, for want of descriptors perhaps, is replaced after a while. */
  #relayThread(): RelayThread | undefined {
    const now = performance.now()
    if (this.#relay?.isUsable === false && now - this.#relayBegan < RELAY_PAUSE_MS) return undefined
    if (this.#relay?.isUsable !== true) {
      this.#relayBegan = now
      this.#relay = new RelayThread(this.#loop)
    }
    return this.#relay
  }

  reclaim(descriptor: number): void {
    reclaim(this.#loop.calls, descriptor)
  }

  async close(): Promise<void> {
    await this.#relay?.close()
    await this.#loop.close()
  }
}

/** The engine for this thread, or why there can be none here. */
export function openLinuxEngine(overSocket: StreamOverSocket): LinuxEngine | string {
  const { platform, arch, versions } = process
  if (platform !== 'linux') return `the system is \`${platform}\``
  if (!ARCHITECTURES.includes(arch)) return `the processor is \`${arch}\``
  const [major = 0, minor = 0] = versions.node.split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST_NODE
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    return `Node ${versions.node} is older than ${OLDEST_NODE.join('.')}`
  }
  const ffi = loadFfi()
  if (typeof ffi === 'string') return ffi
  try {
    const calls = new SystemCalls(openNative(ffi))
    const wrong = calls.selfTest()
    return wrong === undefined ? new LinuxEngine(calls, overSocket) : `a test of system calls failed: ${wrong}`
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
}
