// What every section reader works with, and the checks that sections have in common.

import { COLOS } from '../policy/colos.ts'
import type { Colo, Place } from '../policy/place.ts'
import { closest } from './closest.ts'
import type { Names } from './names.ts'
import type { Problems } from './problems.ts'
import type { RawConfig, RawPlace } from './raw-config.ts'
import type { Path } from './source-document.ts'

export interface Reading {
  readonly raw: RawConfig
  readonly names: Names
  readonly problems: Problems
}

/** Notes a problem at every item whose key an earlier item has. `undefined` keys are nobody's. */
export function checkUnique<T>(
  { problems }: Pick<Reading, 'problems'>,
  items: readonly T[],
  what: { readonly path: (at: number) => Path; readonly noun: string; readonly key: (item: T) => string | undefined },
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
    problems.add(what.path(at), 'config.duplicate', `the ${what.noun} \`${key}\` is taken already, in line ${line}`)
  }
}

/** The data center with this code, in any letter case; notes a problem and answers `undefined` when there is none. */
export function readColo(code: string, path: Path, problems: Problems): Colo | undefined {
  const colo = COLOS.get(code.toUpperCase())
  if (colo !== undefined) return colo
  problems.add(path, 'config.unknown_name', `there is no data center \`${code}\``, { hint: adviseColo(code) })
  return undefined
}

function adviseColo(typed: string): string {
  const all = [...COLOS.values()]
  const city = closest(
    typed,
    all.map((colo) => colo.city),
  )
  const colo = all.find((one) => one.city === city) ?? COLOS.get(closest(typed, COLOS.keys()) ?? '')
  if (colo === undefined) return 'data centers go by codes such as `AMS`; `egresslab colo list` prints them all'
  return `did you mean \`${colo.code}\` (${colo.city}, ${colo.country})?`
}

/** A place: a data center's, or the one written out. */
export function readPlace(raw: RawPlace | undefined, path: Path, problems: Problems): Place | undefined {
  if (raw === undefined) return undefined
  if (typeof raw === 'string') {
    const colo = readColo(raw, path, problems)
    return colo === undefined ? undefined : placeOfColo(colo)
  }
  return Object.freeze({ ...raw })
}

/** Where a data center is, as a place. */
export function placeOfColo({ city, country, latitude, longitude }: Colo): Place {
  return Object.freeze({ city, country, latitude, longitude })
}
