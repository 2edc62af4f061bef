// What lies below a socket of Node's: its binding to libuv's TCP handles. Node does not document it, so everything used here is
// named, typed and looked at before use; where something is not as we know it, there are no handles, and sockets are used instead
// (docs/decisions/0010-wires-below-sockets.md).

import type { Server } from 'node:net'

/** A TCP handle of libuv's. Calls answer 0 or a negative errno. */
export interface TcpHandle {
  /** told of each read, with the handle as `this` */
  onread: ((this: TcpHandle) => void) | undefined
  /** told of each connection that a listening handle accepts */
  onconnection?: (status: number, client: TcpHandle | undefined) => void
  /** ours: who is told */
  wire?: object | undefined
  bind(address: string, port: number): number
  bind6(address: string, port: number, flags: number): number
  connect(request: ConnectRequest, address: string, port: number): number
  connect6(request: ConnectRequest, address: string, port: number): number
  readStart(): number
  readStop(): number
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
  shutdown(request: ShutdownRequest): number
  close(): void
  /** closes with a reset */
  reset(): number
  useUserBuffer(buffer: Uint8Array): void
  getsockname(into: { address?: string; port?: number }): number
  getpeername(into: { address?: string; port?: number }): number
  setNoDelay(on: boolean): number
  setKeepAlive(on: boolean, delaySeconds: number): number
}

export interface ConnectRequest {
  oncomplete: (status: number) => void
}

export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void
  /** ours: what Node must not collect while it is being written, and whose it is */
  bytes?: Uint8Array
  isKept?: boolean
  wire?: object
}

export interface ShutdownRequest {
  oncomplete: (this: ShutdownRequest, status: number) => void
  /** ours */
  wire?: object
}

export interface TcpBinding {
  makeTcp(): TcpHandle
  readonly ConnectRequest: new () => ConnectRequest
  readonly WriteRequest: new () => WriteRequest
  readonly ShutdownRequest: new () => ShutdownRequest
  /** bytes of the read that is being told, or a negative errno */
  bytesRead(): number
  /** is the write that was just made still under way? */
  isWriteUnderWay(): boolean
}

const METHODS = [
  'bind',
  'bind6',
  'connect',
  'connect6',
  'readStart',
  'readStop',
  'writeBuffer',
  'shutdown',
  'close',
  'reset',
  'useUserBuffer',
  'getsockname',
  'getpeername',
  'setNoDelay',
  'setKeepAlive',
]

interface TcpWrapBinding {
  readonly TCP: new (kind: number) => TcpHandle
  readonly TCPConnectWrap: new () => ConnectRequest
  readonly constants: { readonly SOCKET: number }
}

interface StreamWrapBinding {
  readonly WriteWrap: new () => WriteRequest
  readonly ShutdownWrap: new () => ShutdownRequest
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

/** The handles of this process; undefined where Node has none that we know. */
export const tcpBinding: TcpBinding | undefined = openBinding()

function openBinding(): TcpBinding | undefined {
  const { binding } = process as { readonly binding?: unknown }
  if (typeof binding !== 'function') return undefined
  try {
    const tcp: unknown = binding.call(process, 'tcp_wrap')
    const stream: unknown = binding.call(process, 'stream_wrap')
    if (!isTcpWrap(tcp) || !isStreamWrap(stream)) return undefined
    const { streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = stream
    const { TCP } = tcp
    const { SOCKET } = tcp.constants
    return {
      makeTcp: () => new TCP(SOCKET),
      ConnectRequest: tcp.TCPConnectWrap,
      WriteRequest: stream.WriteWrap,
      ShutdownRequest: stream.ShutdownWrap,
      bytesRead: () => streamBaseState[kReadBytesOrError] ?? 0,
      isWriteUnderWay: () => streamBaseState[kLastWriteWasAsync] !== 0,
    }
  } catch {
    return undefined
  }
}

/** The handle of a server that listens; undefined where it is not one that we know. */
export function handleOf(server: Server): TcpHandle | undefined {
  const handle = (server as { readonly _handle?: unknown })._handle
  return isTcpHandle(handle) && typeof handle.onconnection === 'function' ? handle : undefined
}

function isTcpWrap(value: unknown): value is TcpWrapBinding {
  const { TCP, TCPConnectWrap, constants } = value as Partial<TcpWrapBinding>
  return (
    typeof TCP === 'function' &&
    typeof TCPConnectWrap === 'function' &&
    typeof constants?.SOCKET === 'number' &&
    isTcpHandle(TCP.prototype)
  )
}

function isStreamWrap(value: unknown): value is StreamWrapBinding {
  const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } =
    value as Partial<StreamWrapBinding>
  return (
    typeof WriteWrap === 'function' &&
    typeof ShutdownWrap === 'function' &&
    streamBaseState instanceof Int32Array &&
    typeof kReadBytesOrError === 'number' &&
    typeof kLastWriteWasAsync === 'number'
  )
}

function isTcpHandle(value: unknown): value is TcpHandle {
  if (typeof value !== 'object' || value === null) return false
  return METHODS.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}
