// Which sessions a person wants to see. The filter lives in the address, so that what is seen can be shared.

import type { Row } from '../api/shapes.ts'
import { toneOf } from '../ui/outcome.tsx'
import { FACETS, type Facet, facetOf, letInWords } from './facets.ts'

export type SessionFilter = { readonly text: string } & { readonly [F in Facet]: string }

export const NO_FILTER: SessionFilter = {
  text: '',
  user: '',
  vnet: '',
  rule: '',
  egress: '',
  outcome: '',
  let_in: '',
  member: '',
}

export function filterFrom(query: URLSearchParams): SessionFilter {
  const read = (name: string) => query.get(name) ?? ''
  return {
    text: read('q'),
    user: read('user'),
    vnet: read('vnet'),
    rule: read('rule'),
    egress: read('egress'),
    outcome: read('outcome'),
    let_in: read('let_in'),
    member: read('member'),
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

/** Rows that fit, newest first. */
export function select(rows: readonly Row[], filter: SessionFilter): Row[] {
  const wanted = FACETS.filter((facet) => filter[facet] !== '')
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean)
  if (wanted.length === 0 && words.length === 0) return rows.toReversed()
  const found: Row[] = []
  for (let at = rows.length - 1; at >= 0; at--) {
    const row = rows[at]
    if (row === undefined || !wanted.every((facet) => facetOf(row, facet) === filter[facet])) continue
    if (words.length === 0 || matches(row, words)) found.push(row)
  }
  return found
}

function matches(row: Row, words: readonly string[]): boolean {
  const text = searchedIn(row)
  return words.every((word) => text.includes(word))
}

interface Searched {
  /** what the text depends on: a row changes once, when its session ends */
  readonly open: boolean
  readonly text: string
}

const searched = new WeakMap<Row, Searched>()

/** All that a search looks into, in small letters; put together once, as thousands of rows are searched with every key. */
function searchedIn(row: Row): string {
  const known = searched.get(row)
  if (known?.open === row.open) return known.text
  const text =
    `${row.user} ${row.vnet} ${row.target} ${row.origin} ${row.egress} ${row.rule} ${toneOf(row)} ${row.ingress} ${row.physical} ${row.logical} ${row.protocol} ${row.close} ${row.error?.code ?? ''} ${row.error?.message ?? ''} ${letInWords(row) ?? ''} ${row.member} ${row.id}`.toLowerCase()
  searched.set(row, { open: row.open, text })
  return text
}

const ROWS_AT_ONCE = 1000

/** Puts together what a search looks into, some rows at a time, so that the first key finds it done. The answer ends it. */
export function prepareSearch(rows: readonly Row[]): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const go = (from: number) => {
    const to = from + ROWS_AT_ONCE
    for (const row of rows.slice(from, to)) searchedIn(row)
    timer = to < rows.length ? setTimeout(() => go(to)) : undefined
  }
  go(0)
  return () => clearTimeout(timer)
}
