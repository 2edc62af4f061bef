// The functions of libc and libuv this folder calls, through `node:ffi`: their signatures, errno, and memory the kernel knows. No other code
// of this project is native or calls native code.

import type { DynamicLibrary, FunctionDefinitions } from 'node:ffi'
import type { Ffi } from './load-ffi.ts'

const int = 'int32'
const uint = 'uint32'
const pointer = 'pointer'

const DEFINITIONS = {
  __errno_location: { arguments: [], return: pointer },
  accept4: { arguments: [int, pointer, pointer, int], return: int },
  bind: { arguments: [int, pointer, uint], return: int },
  close: { arguments: [int], return: int },
  connect: { arguments: [int, pointer, uint], return: int },
  epoll_create1: { arguments: [int], return: int },
  epoll_ctl: { arguments: [int, int, int, pointer], return: int },
  epoll_wait: { arguments: [int, pointer, int, int], return: int },
  getpeername: { arguments: [int, pointer, pointer], return: int },
  getsockname: { arguments: [int, pointer, pointer], return: int },
  getsockopt: { arguments: [int, int, int, pointer, pointer], return: int },
  listen: { arguments: [int, int], return: int },
  pipe2: { arguments: [pointer, int], return: int },
  read: { arguments: [int, pointer, uint], return: int },
  recv: { arguments: [int, pointer, uint, int], return: int },
  recvmmsg: { arguments: [int, pointer, uint, int, pointer], return: int },
  recvmsg: { arguments: [int, pointer, int], return: int },
  sendmmsg: { arguments: [int, pointer, uint, int], return: int },
  setsockopt: { arguments: [int, int, int, pointer, uint], return: int },
  shutdown: { arguments: [int, int], return: int },
  socket: { arguments: [int, int, int], return: int },
  socketpair: { arguments: [int, int, int, pointer], return: int },
  splice: { arguments: [int, pointer, int, pointer, uint, uint], return: int },
  write: { arguments: [int, pointer, uint], return: int },
  calloc: { arguments: ['uint64', 'uint64'], return: pointer },
  free: { arguments: [pointer], return: 'void' },
  uv_handle_size: { arguments: [int], return: 'uint64' },
  uv_poll_init: { arguments: [pointer, pointer, int], return: int },
  uv_poll_start: { arguments: [pointer, int, pointer], return: int },
  uv_poll_stop: { arguments: [pointer], return: int },
  uv_close: { arguments: [pointer, pointer], return: 'void' },
  uv_ref: { arguments: [pointer], return: 'void' },
  uv_unref: { arguments: [pointer], return: 'void' },
} as const satisfies FunctionDefinitions

/** A symbol has one signature per library object, so this one comes from a second. */
const BUFFER_DEFINITIONS = {
  write: { arguments: [int, 'buffer', uint], return: int },
} as const satisfies FunctionDefinitions

/** What one thread calls with: errno has an address of its own in each. */
export interface Native {
  readonly ffi: Ffi
  readonly library: DynamicLibrary
  readonly c: ReturnType<typeof functionsOf>
  readonly writeBuffer: (fd: number, bytes: Uint8Array, length: number) => number
  /** To be read in the very expression that follows a failed call: whatever is called or allocated in between may write over it. */
  readonly errno: Int32Array
}

/** Throws where a symbol is missing. The symbols are those of the process itself, whatever libc it has. */
export function openNative(ffi: Ffi): Native {
  const library = new ffi.DynamicLibrary(null)
  const c = functionsOf(library)
  const writeBuffer = new ffi.DynamicLibrary(null).getFunctions(BUFFER_DEFINITIONS).write
  return { ffi, library, c, writeBuffer, errno: new Int32Array(ffi.toArrayBuffer(c.__errno_location(), 4, false)) }
}

function functionsOf(library: DynamicLibrary) {
  return library.getFunctions(DEFINITIONS)
}

/** Memory that the kernel knows by its address. The two stay together, because an address alone keeps nothing alive. */
export class PinnedMemory {
  readonly bytes: Buffer
  readonly address: bigint

  constructor(ffi: Ffi, length: number) {
    this.bytes = Buffer.alloc(length)
    this.address = ffi.getRawPointer(this.bytes)
  }

  words(): Int32Array {
    return new Int32Array(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length >> 2)
  }
}
