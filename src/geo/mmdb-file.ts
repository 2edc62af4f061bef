// One MMDB file: opened on first use or in advance, and replaced as a whole when the file changes. An unreadable file never
// replaces a readable one. A record becomes a Place, in either layout: nested as in GeoLite2, GeoIP2 and DB-IP's own files,
// or flat as in the ip-location-db packages; any field may be missing or of the wrong type.

import { watch } from 'node:fs'
import { open as openFile, readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { readWholeFile, requireRegular } from '../config/files.ts'
import { InputError, inputError } from '../errors/issue.ts'
import { type Family, type Ip, ip } from '../net/ip.ts'
import { countryFacts, type Place } from '../policy/place.ts'
import { inMemory, type MmdbBytes, openInPlace } from './mmdb-bytes.ts'
import { MmdbReader } from './mmdb-reader.ts'

/** A database to use. `family`: set if the file is known to hold one family only, to spare reading it. */
export interface GeoSource {
  readonly path: string
  readonly family?: Family
  /** the file belongs to an installed package: it is replaced, but never written into. It stays on disk; any other is read into
   *  memory, because somebody may write over it. */
  readonly isInstalled?: true
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

interface Opened {
  readonly reader: MmdbReader
  readonly bytes: MmdbBytes
}

/** One database file; create it with a path that exists. */
export class MmdbFile {
  readonly #source: GeoSource
  #opened: Opened | undefined
  /** the bytes read, if other threads may share them */
  contents: SharedArrayBuffer | undefined
  readonly #shared: boolean
  #loading: Promise<void> | undefined
  #reloads = 0

  /** `shared`: keeps what it reads into memory so that it can be handed to other threads. */
  constructor(source: GeoSource, shared = false) {
    this.#source = source
    this.#shared = shared
  }

  /** Opens the file before its first use. Rejects with InputError if it is not a readable MMDB file. */
  async load(): Promise<void> {
    if (this.#opened !== undefined) return
    const { path, contents } = this.#source
    if (contents !== undefined) {
      this.#opened = read(path, inMemory(Buffer.from(contents)))
      return
    }
    this.#loading ??= this.reload().finally(() => {
      this.#loading = undefined
    })
    await this.#loading
  }

  /** Opens the file again and replaces the contents; on an InputError the old ones stay in use. Of overlapping calls
   *  the last wins. */
  async reload(): Promise<void> {
    const turn = ++this.#reloads
    const { path, isInstalled } = this.#source
    if (isInstalled) {
      this.#replace(openInstalled(path))
      return
    }
    const bytes = await readAll(path, this.#shared).catch(refuse(path))
    const opened = read(path, inMemory(bytes))
    if (turn !== this.#reloads) return
    this.#replace(opened)
    this.contents = bytes.buffer instanceof SharedArrayBuffer ? bytes.buffer : undefined
  }

  /** The raw record that covers an address, or null. Opens the file if it is not open, so that the first
   *  lookup succeeds too. A record that cannot be decoded counts as absent. Throws InputError if the file cannot be
   *  read. */
  record(address: Ip): unknown {
    const { family, isInstalled, path } = this.#source
    if (family !== undefined && family !== address.family) return null
    this.#opened ??= isInstalled ? openInstalled(path) : openNow(path)
    try {
      return this.#opened.bytes.isIntact() ? this.#opened.reader.record(address) : null
    } catch {
      return null
    }
  }

  /** `undefined` while the file has not been read. */
  facts(): GeoFileFacts | undefined {
    if (this.#opened === undefined) return undefined
    const { type, builtAt } = this.#opened.reader.facts
    return { path: this.#source.path, type, builtAt }
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

  /** Lets go of the file; a later lookup opens it again. */
  close(): void {
    this.#replace(undefined)
  }

  #replace(opened: Opened | undefined): void {
    this.#opened?.bytes.close()
    this.#opened = opened
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

function openInstalled(path: string): Opened {
  let bytes: MmdbBytes
  try {
    bytes = openInPlace(path)
  } catch (cause) {
    return refuse(path)(cause)
  }
  try {
    return read(path, bytes)
  } catch (thrown) {
    bytes.close()
    throw thrown
  }
}

function openNow(path: string): Opened {
  let bytes: Buffer
  try {
    bytes = readWholeFile(path)
  } catch (cause) {
    return refuse(path)(cause)
  }
  return read(path, inMemory(bytes))
}

/** Addresses whose paths through the tree are far apart. */
const PROBES = [ip('1.1.1.1'), ip('223.255.255.255')]

/** A reader of complete contents: checks that the search tree and its data are present, not only the metadata. */
function read(path: string, bytes: MmdbBytes): Opened {
  try {
    if (bytes.length >= 2 && bytes.uint(0, 2) === 0x1f8b) {
      throw broken(path, `\`${path}\` is compressed`, 'unpack it first: the lab reads .mmdb files, not .gz or .tar.gz')
    }
    const reader = new MmdbReader(bytes)
    for (const probe of PROBES) reader.record(probe)
    return { reader, bytes }
  } catch (thrown) {
    if (thrown instanceof InputError) throw thrown
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
