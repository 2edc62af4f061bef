// Removes the parts of a configuration that have the wrong shape, so that the rest can be checked: one invalid item of
// a list does not hide errors in its neighbours.

import type { DocumentPath } from './source-document.ts'

export interface ValidSections {
  readonly data: Readonly<Record<string, unknown>>
  /** The path in the file of a value in `data`: items after a removed one have moved up. */
  originalPath(path: DocumentPath): DocumentPath
}

/** `bad` are the paths of errors. A list loses the items concerned; any other section is removed as a whole. */
export function validSections(data: unknown, bad: readonly DocumentPath[]): ValidSections {
  const kept = new Map<string | number, readonly number[]>()
  const sound: Record<string, unknown> = {}
  const isBlock = typeof data === 'object' && data !== null && !Array.isArray(data)
  for (const [section, value] of Object.entries(isBlock ? data : {})) {
    const steps = bad.filter((path) => path[0] === section).map((path) => path[1])
    if (Array.isArray(value) && steps.every((step) => typeof step === 'number')) {
      const places = [...value.keys()].filter((at) => !steps.includes(at))
      kept.set(section, places)
      sound[section] = places.map((at) => value[at])
    } else if (steps.length === 0) {
      sound[section] = value
    }
  }
  return {
    data: sound,
    originalPath([section = '', at, ...rest]) {
      if (at === undefined) return section === '' ? [] : [section]
      const place = typeof at === 'number' ? kept.get(section)?.[at] : undefined
      return [section, place ?? at, ...rest]
    },
  }
}
