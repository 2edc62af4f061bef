// What sessions can be told apart by, where the values are chosen from a list.

import type { Row } from '../api/shapes.ts'
import { toneOf } from '../ui/outcome.tsx'

export const FACETS = ['user', 'vnet', 'rule', 'egress', 'outcome', 'let_in', 'member'] as const
export type Facet = (typeof FACETS)[number]

/** For sessions without a rule, a user …: chosen like any other value. */
const NONE = '–'

export function facetOf(row: Row, facet: Facet): string {
  if (facet === 'let_in') return letInWords(row) ?? NONE
  const value = facet === 'outcome' ? toneOf(row) : row[facet]
  return value === '' ? NONE : value
}

/** What the destination's allowlist made of it; undefined where it has none. */
export function letInWords({ let_in: letIn }: Pick<Row, 'let_in'>): 'let in' | 'refused' | undefined {
  if (letIn === null) return undefined
  return letIn ? 'let in' : 'refused'
}
