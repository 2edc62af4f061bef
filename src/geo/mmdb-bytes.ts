// The bytes of a geo database: in memory, mapped, or read page by page. A mapped file is never read into memory: only the pages
// that are looked at are there, and all processes of the machine share them.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { lru } from 'tiny-lru'
import { requireRegular } from '../config/files.ts'
import { loadFfi } from '../transport/linux/load-ffi.ts'

/** Throws a RangeError for bytes that are not there. */
export interface MmdbBytes {
  readonly length: number
  /** one to four bytes, most significant first */
  uint(at: number, size: number): number
  /** the bytes themselves or a copy, to be read at once */
  slice(from: number, to: number): Buffer
  /** whether they are still those of the file that was opened, as far as reading them goes */
  isIntact(): boolean
  close(): void
}

/** Bytes in memory, which nothing changes. */
export function inMemory(bytes: Buffer): MmdbBytes {
  return new BufferBytes(bytes)
}

/** Opens a file that is replaced, but never written into, while it is in use, as package managers do: mapped where `node:ffi`
 *  is to be had and `mayMap`, else by pages. Throws the system's error. */
export function openInPlace(path: string, mayMap = true): MmdbBytes {
  requireRegular(path)
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    return (mayMap ? map(fd, size) : undefined) ?? new PagedBytes(fd, size)
  } catch (thrown) {
    closeSync(fd)
    throw thrown
  }
}

class BufferBytes implements MmdbBytes {
  readonly length: number
  readonly #bytes: Buffer
  /** open while the bytes are a mapping of it */
  #fd: number | undefined

  constructor(bytes: Buffer, fd?: number) {
    this.#bytes = bytes
    this.#fd = fd
    this.length = bytes.length
  }

  uint(at: number, size: number): number {
    return this.#bytes.readUIntBE(at, size)
  }

  slice(from: number, to: number): Buffer {
    if (from < 0 || to > this.length) throw new RangeError('outside of the file')
    return this.#bytes.subarray(from, to)
  }

  /** To touch mapped bytes that were cut off ends the process. */
  isIntact(): boolean {
    return this.#fd === undefined || fstatSync(this.#fd).size >= this.length
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}

const PROT_READ = 1
const MAP_SHARED = 1
const DEFINITIONS = {
  mmap: { arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'], return: 'pointer' },
  munmap: { arguments: ['pointer', 'uint64'], return: 'int32' },
} as const
/** `(void *) -1` */
const MAP_FAILED = 2n ** 64n - 1n

interface Mapping {
  readonly address: bigint
  readonly length: number
}

let calls: ReturnType<typeof openCalls> | undefined | null

/** Null: not to be had here. */
function openCalls() {
  if (process.platform === 'win32') return null
  const ffi = loadFfi()
  if (typeof ffi === 'string') return null
  try {
    const functions = new ffi.DynamicLibrary(null).getFunctions(DEFINITIONS)
    // a mapping is given back when nothing can read it any more, and not before
    const mappings = new FinalizationRegistry<Mapping>(({ address, length }) => {
      functions.munmap(address, BigInt(length))
    })
    return { ffi, mmap: functions.mmap, mappings }
  } catch {
    return null
  }
}

function map(fd: number, length: number): MmdbBytes | undefined {
  if (calls === undefined) calls = openCalls()
  if (calls === null || length === 0) return undefined
  const address = calls.mmap(0n, BigInt(length), PROT_READ, MAP_SHARED, fd, 0n)
  if (address === MAP_FAILED || address === 0n) return undefined
  const bytes = calls.ffi.toBuffer(address, length, false)
  calls.mappings.register(bytes.buffer, { address, length })
  return new BufferBytes(bytes, fd)
}

const PAGE_BYTES = 4096
/** 4 MiB */
const MOST_PAGES = 1024

class PagedBytes implements MmdbBytes {
  readonly length: number
  readonly #fd: number
  readonly #pages = lru<Buffer>(MOST_PAGES)

  constructor(fd: number, length: number) {
    this.#fd = fd
    this.length = length
  }

  uint(at: number, size: number): number {
    const offset = at % PAGE_BYTES
    return offset + size <= PAGE_BYTES
      ? this.#page((at - offset) / PAGE_BYTES).readUIntBE(offset, size)
      : this.slice(at, at + size).readUIntBE(0, size)
  }

  slice(from: number, to: number): Buffer {
    if (from < 0 || to > this.length) throw new RangeError('outside of the file')
    const first = Math.floor(from / PAGE_BYTES)
    const offset = from - first * PAGE_BYTES
    if (to - from + offset <= PAGE_BYTES) return this.#page(first).subarray(offset, offset + to - from)
    const bytes = Buffer.alloc(to - from)
    this.#read(bytes, from)
    return bytes
  }

  isIntact(): boolean {
    return true
  }

  close(): void {
    closeSync(this.#fd)
  }

  #page(number: number): Buffer {
    const known = this.#pages.get(number)
    if (known !== undefined) return known
    const start = number * PAGE_BYTES
    if (start < 0 || start >= this.length) throw new RangeError('outside of the file')
    const page = Buffer.alloc(Math.min(PAGE_BYTES, this.length - start))
    this.#read(page, start)
    this.#pages.set(number, page)
    return page
  }

  #read(into: Buffer, from: number): void {
    if (readSync(this.#fd, into, 0, into.length, from) < into.length) throw new RangeError('the file was cut off')
  }
}
