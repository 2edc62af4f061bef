// What sessions can be told apart by, where the values are chosen from a list.

import type { Row } from '../api/shapes.ts'
import { toneOf } from '../ui/outcome.tsx'

export const FACETS = ['user', 'vnet', 'rule', 'egress', 'outcome'] as const
export type Facet = (typeof FACETS)[number]

/** For sessions without a rule, a user …: chosen like any other value. */
const NONE = '–'

export function facetOf(row: Row, facet: Facet): string {
  const value = facet === 'outcome' ? toneOf(row) : row[facet]
  return value === '' ? NONE : value
}
