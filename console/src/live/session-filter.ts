// Which sessions a person wants to see. The filter lives in the address, so that what is seen can be shared.

import type { Row } from '../api/shapes.ts'
import { toneOf } from '../ui/outcome.tsx'

/** What can be chosen from a list of the values there are. */
export const FACETS = ['user', 'vnet', 'rule', 'egress', 'outcome'] as const
export type Facet = (typeof FACETS)[number]

export type SessionFilter = { readonly text: string } & { readonly [F in Facet]: string }

export const NO_FILTER: SessionFilter = { text: '', user: '', vnet: '', rule: '', egress: '', outcome: '' }

/** For sessions without a rule, a user …: chosen like any other value. */
export const NONE = '–'

export function filterFrom(query: URLSearchParams): SessionFilter {
  const read = (name: string) => query.get(name) ?? ''
  return {
    text: read('q'),
    user: read('user'),
    vnet: read('vnet'),
    rule: read('rule'),
    egress: read('egress'),
    outcome: read('outcome'),
  }
}

/** The address of the sessions view with this filter. */
export function addressOf(filter: SessionFilter): string {
  const query = new URLSearchParams()
  if (filter.text !== '') query.set('q', filter.text)
  for (const facet of FACETS) if (filter[facet] !== '') query.set(facet, filter[facet])
  const text = query.toString()
  return text === '' ? '/sessions' : `/sessions?${text}`
}

export function facetOf(row: Row, facet: Facet): string {
  const value = facet === 'outcome' ? toneOf(row) : row[facet]
  return value === '' ? NONE : value
}

/** Rows that fit, newest first. */
export function select(rows: readonly Row[], filter: SessionFilter): Row[] {
  const wanted = FACETS.filter((facet) => filter[facet] !== '')
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean)
  const found: Row[] = []
  for (let at = rows.length - 1; at >= 0; at--) {
    const row = rows[at]
    if (row === undefined || !wanted.every((facet) => facetOf(row, facet) === filter[facet])) continue
    if (words.length === 0 || matches(row, words)) found.push(row)
  }
  return found
}

function matches(row: Row, words: readonly string[]): boolean {
  const text =
    `${row.user} ${row.vnet} ${row.target} ${row.origin} ${row.egress} ${row.rule} ${toneOf(row)} ${row.ingress} ${row.physical} ${row.logical} ${row.protocol} ${row.close} ${row.error?.code ?? ''} ${row.id}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

/** The values each facet has among these rows, sorted. */
export function valuesOf(rows: readonly Row[]): Readonly<Record<Facet, readonly string[]>> {
  const collect = (facet: Facet) => {
    const found = new Set<string>()
    for (const row of rows) found.add(facetOf(row, facet))
    return [...found].sort()
  }
  return {
    user: collect('user'),
    vnet: collect('vnet'),
    rule: collect('rule'),
    egress: collect('egress'),
    outcome: collect('outcome'),
  }
}
