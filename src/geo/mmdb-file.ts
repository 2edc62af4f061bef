// One MMDB file in memory: read on first use or in advance, and replaced as a whole when the file changes. An
// unreadable file never replaces a readable one. A record becomes a Place, in either layout: nested as in GeoLite2, GeoIP2
// and DB-IP's own files, or flat as in the ip-location-db packages; any field may be missing or of the wrong type.

import { watch } from 'node:fs'
import { open as openFile, readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { Reader, type Response } from 'maxmind'
import { readWholeFile, requireRegular } from '../config/files.ts'
import { type InputError, inputError } from '../errors/issue.ts'
import type { Family, Ip } from '../net/ip.ts'
import { countryFacts, type Place } from '../policy/place.ts'

/** A database to use. `family`: set if the file is known to hold one family only, to spare reading it. */
export interface GeoSource {
  readonly path: string
  readonly family?: Family
  /** the contents as read by another thread */
  readonly contents?: SharedArrayBuffer
}

/** Metadata of a loaded file. */
export interface GeoFileFacts {
  readonly path: string
  /** such as `GeoLite2-City` */
  readonly type: string
  /** epoch ms */
  readonly builtAt: number
}

/** Changes come in bursts (write, rename, touch); the file is read once it has been unchanged for this long, ms. */
const QUIET_MS = 250

/** One database file; create it with a path that exists. */
export class MmdbFile {
  readonly #source: GeoSource
  #reader: Reader<Response> | undefined
  /** the reader's bytes, if other threads may share them */
  contents: SharedArrayBuffer | undefined
  readonly #shared: boolean
  #loading: Promise<void> | undefined
  #reloads = 0

  /** `shared`: keeps the contents so that they can be handed to other threads. */
  constructor(source: GeoSource, shared = false) {
    this.#source = source
    this.#shared = shared
  }

  /** Reads the file before its first use. Rejects with InputError if it is not a readable MMDB file. */
  load(): Promise<void> {
    if (this.#reader !== undefined) return Promise.resolve()
    const { path, contents } = this.#source
    if (contents !== undefined) {
      this.#reader = open(path, Buffer.from(contents))
      return Promise.resolve()
    }
    this.#loading ??= this.reload().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  /** Reads the file again and replaces the contents; on an InputError the old ones stay in use. Of overlapping calls
   *  the last wins. */
  async reload(): Promise<void> {
    const turn = ++this.#reloads
    const { path } = this.#source
    const bytes = await readAll(path, this.#shared).catch(refuse(path))
    const reader = open(path, bytes)
    if (turn !== this.#reloads) return
    this.#reader = reader
    this.contents = bytes.buffer instanceof SharedArrayBuffer ? bytes.buffer : undefined
  }

  /** The raw record that covers an address, or null. Reads the file if it has not been read, so that the first
   *  lookup succeeds too. A record that cannot be decoded counts as absent. Throws InputError if the file cannot be
   *  read. */
  record(address: Ip): unknown {
    if (this.#source.family !== undefined && this.#source.family !== address.family) return null
    this.#reader ??= openNow(this.#source.path)
    if (address.family === 6 && this.#reader.metadata.ipVersion === 4) return null
    try {
      return this.#reader.get(address.text)
    } catch {
      return null
    }
  }

  /** `undefined` while the file has not been read. */
  facts(): GeoFileFacts | undefined {
    const metadata = this.#reader?.metadata
    if (metadata === undefined) return undefined
    return { path: this.#source.path, type: metadata.databaseType, builtAt: metadata.buildEpoch.getTime() }
  }

  /** Calls back each time the file has changed and then been unchanged for a moment. Watches the directory, because
   *  updaters replace the file. `lost`: the system stopped watching. Never keeps the process alive; returns the
   *  function that stops watching. */
  onChange(changed: () => void, lost: () => void): () => void {
    const name = basename(this.#source.path)
    let timer: NodeJS.Timeout | undefined
    const watcher = watch(dirname(this.#source.path), { persistent: false }, (_event, file) => {
      if (file !== null && file !== name) return
      clearTimeout(timer)
      timer = setTimeout(changed, QUIET_MS)
      timer.unref()
    })
    watcher.on('error', () => {
      watcher.close()
      lost()
    })
    return () => {
      clearTimeout(timer)
      watcher.close()
    }
  }
}

async function readAll(path: string, shared: boolean): Promise<Buffer> {
  requireRegular(path)
  return shared ? readShared(path) : readFile(path)
}

/** The whole file in memory that threads can share. */
async function readShared(path: string): Promise<Buffer<SharedArrayBuffer>> {
  const file = await openFile(path)
  try {
    const { size } = await file.stat()
    const bytes = Buffer.from(new SharedArrayBuffer(size))
    let length = 0
    while (length < size) {
      const { bytesRead } = await file.read(bytes, length, size - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return bytes
  } finally {
    await file.close()
  }
}

function openNow(path: string): Reader<Response> {
  let bytes: Buffer
  try {
    bytes = readWholeFile(path)
  } catch (cause) {
    return refuse(path)(cause)
  }
  return open(path, bytes)
}

/** A reader of complete contents: checks that the search tree and its data are present, not only the metadata. */
function open(path: string, bytes: Buffer): Reader<Response> {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    throw broken(path, `\`${path}\` is compressed`, 'unpack it first: the lab reads .mmdb files, not .gz or .tar.gz')
  }
  try {
    const reader = new Reader<Response>(bytes)
    for (const probe of ['1.1.1.1', '223.255.255.255']) reader.get(probe)
    return reader
  } catch {
    throw broken(
      path,
      `\`${path}\` is not a readable MMDB file`,
      'give a City or Country database in MaxMind DB format',
    )
  }
}

function refuse(path: string): (cause: unknown) => never {
  return (cause) => {
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
    throw broken(
      path,
      `the geo database \`${path}\` cannot be read${code}`,
      'give the path of a file this user may read',
    )
  }
}

function broken(file: string, message: string, hint: string): InputError {
  return inputError('geo.database_unreadable', message, { hint, file })
}

/** The place in a record. A record without coordinates gets the middle of its country; `undefined` for one without
 *  coordinates and without a known country. */
export function placeFromRecord(record: unknown): Place | undefined {
  const fields = isObject(record) ? readFields(record) : {}
  const country = /^[A-Za-z]{2}$/.test(fields.country ?? '') ? fields.country?.toUpperCase() : undefined
  const known = country === undefined ? undefined : countryFacts(country)
  const point = pointOf(fields.latitude, fields.longitude) ?? known
  if (point === undefined) return undefined
  const continent = fields.continent ?? known?.continent
  return Object.freeze({
    ...(fields.city === undefined ? {} : { city: fields.city }),
    ...(country === undefined ? {} : { country }),
    ...(continent === undefined ? {} : { continent }),
    latitude: point.latitude,
    longitude: point.longitude,
  })
}

interface Fields {
  readonly city?: string | undefined
  readonly country?: string | undefined
  readonly continent?: string | undefined
  readonly latitude?: number | undefined
  readonly longitude?: number | undefined
}

function readFields(record: Readonly<Record<string, unknown>>): Fields {
  return 'country_code' in record ? readFlat(record) : readNested(record)
}

function readFlat(record: Readonly<Record<string, unknown>>): Fields {
  return {
    city: text(record.city),
    country: text(record.country_code),
    latitude: degrees(record.latitude),
    longitude: degrees(record.longitude),
  }
}

function readNested(record: Readonly<Record<string, unknown>>): Fields {
  return {
    city: text(at(record, 'city', 'names', 'en')),
    country: text(at(record, 'country', 'iso_code')) ?? text(at(record, 'registered_country', 'iso_code')),
    continent: text(at(record, 'continent', 'code')),
    latitude: degrees(at(record, 'location', 'latitude')),
    longitude: degrees(at(record, 'location', 'longitude')),
  }
}

function at(record: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), record)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Rounded to four decimals (11 m): flat files hold 32-bit floats, whose further digits are noise. */
function degrees(value: unknown): number | undefined {
  if (typeof value === 'string' && value.trim() !== '') return degrees(Number(value))
  return typeof value === 'number' && Number.isFinite(value) ? Math.round(value * 10_000) / 10_000 : undefined
}

function pointOf(latitude: number | undefined, longitude: number | undefined) {
  if (latitude === undefined || longitude === undefined) return undefined
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 ? { latitude, longitude } : undefined
}
