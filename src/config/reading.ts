// The context of the section readers, and checks that sections share.

import { closest } from '../errors/did-you-mean.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import { ip } from '../net/ip.ts'
import { COLOS, type Colo, countryFacts, type Place } from '../policy/place.ts'
import type { RawPlace } from './account-schema.ts'
import type { RawConfig } from './lab-schema.ts'
import type { Names } from './names.ts'
import type { Problems } from './problems.ts'
import type { DocumentPath } from './source-document.ts'

export interface ReadingContext {
  readonly raw: RawConfig
  readonly names: Names
  readonly problems: Problems
}

/** Records a problem at every item whose key an earlier item has. Items with an `undefined` key are skipped. */
export function checkUnique<T>(
  { problems }: Pick<ReadingContext, 'problems'>,
  items: readonly T[],
  what: {
    readonly path: (at: number) => DocumentPath
    readonly noun: string
    readonly key: (item: T) => string | undefined
    /** the key as users know it, if it is another text */
    readonly shown?: (item: T) => string
  },
): void {
  const seen = new Map<string, number>()
  for (const [at, item] of items.entries()) {
    const key = what.key(item)
    if (key === undefined) continue
    const before = seen.get(key.toLowerCase())
    if (before === undefined) {
      seen.set(key.toLowerCase(), at)
      continue
    }
    const { line } = problems.locate(what.path(before))
    const shown = what.shown?.(item) ?? key
    problems.add(what.path(at), 'config.duplicate', `the ${what.noun} \`${shown}\` is taken already, in line ${line}`)
  }
}

/** The data center (policy/colos.json) with this code, in any letter case; records a problem and returns `undefined` if there is none. */
export function readColo(code: string, path: DocumentPath, problems: Problems): Colo | undefined {
  const colo = COLOS.get(code.toUpperCase())
  if (colo !== undefined) return colo
  problems.add(path, 'config.unknown_name', `there is no data center \`${code}\``, { hint: adviseColo(code) })
  return undefined
}

/** Data centers of a city with that name, else those whose codes have the same letters, else with two of them in
 *  place. */
function adviseColo(typed: string): string {
  const all = [...COLOS.values()]
  const city = closest(
    typed,
    all.map((colo) => colo.city),
  )
  const letters = [...typed.toUpperCase()]
  const alike = ({ code }: Colo) => letters.filter((letter, at) => code[at] === letter).length === 2
  const swapped = ({ code }: Colo) => [...code].sort().join('') === [...letters].sort().join('')
  const inCity = all.filter((colo) => colo.city === city)
  const byCode = letters.length === 3 ? [all.filter(swapped), all.filter(alike)] : []
  const found = [inCity, ...byCode].find((some) => some.length > 0)
  if (found === undefined) {
    return 'data centers are named by codes such as `AMS`; `egresslab colo list` prints them all'
  }
  const shown = found.slice(0, 8).map((colo) => `\`${colo.code}\` (${colo.city})`)
  return `did you mean ${shown.join(', ')}?`
}

/** A host name in canonical form (net/host.ts); a leading `*.` is kept. */
export function readHostName(text: string): string {
  const wildcard = text.startsWith('*.') ? '*.' : ''
  const host = parseHost(text.slice(wildcard.length))
  return host?.kind === 'name' ? wildcard + host.name : text
}

/** A place: a data center's, or the coordinates given. */
export function readPlace(raw: RawPlace | undefined, path: DocumentPath, problems: Problems): Place | undefined {
  if (raw === undefined) return undefined
  if (typeof raw === 'string') {
    const colo = readColo(raw, path, problems)
    return colo === undefined ? undefined : placeOfColo(colo)
  }
  return withContinent(raw)
}

/** Where a data center is, as a place. */
export function placeOfColo({ city, country, latitude, longitude }: Colo): Place {
  return withContinent({ city, country, latitude, longitude })
}

/** The continent of a country, unless one is given. */
function withContinent(place: Place): Place {
  const continent =
    place.continent ?? (place.country === undefined ? undefined : countryFacts(place.country)?.continent)
  return Object.freeze(continent === undefined ? place : { ...place, continent })
}

/** Parses `127.0.0.1:8053` or `[::1]:8053`, which the schema has checked. */
export function endpointOf(text: string): Endpoint {
  const colon = text.lastIndexOf(':')
  return Object.freeze({ ip: ip(text.slice(0, colon).replace(/^\[|\]$/g, '')), port: Number(text.slice(colon + 1)) })
}
