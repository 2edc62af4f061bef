// A service with an allowlist of source addresses, the reason people want dedicated egress IPs. Says what it saw and
// what it lets in, so that a refusal explains itself.

import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Answer } from './answer.ts'
import { factList } from './page.ts'
import { describeView, type Visit, type Visitor, visitFacts } from './visit.ts'

/** 200 for an address on the allowlist, 403 for any other. */
export function saas(visit: Visit, visitor: Visitor): Answer {
  const { allow, title } = visit.site.spec
  const entry = allow.find((range) => containsIp(range, visitor.address))
  const seen = visitor.address.text
  const allowed = allow.map(entryText)
  const list = allowed.length === 0 ? 'nobody' : allowed.join(', ')
  const headline = entry === undefined ? `${title} refuses ${seen}` : `${title} lets ${seen} in`
  return {
    status: entry === undefined ? 403 : 200,
    text: `${headline}\nseen: ${seen}\nallowed: ${list}\n`,
    json: {
      allowed: entry !== undefined,
      entry: entry === undefined ? null : entryText(entry),
      allowlist: allowed,
      ...visitFacts(visit, visitor),
    },
    page: {
      title,
      headline,
      tone: entry === undefined ? 'bad' : 'good',
      body: factList({
        'It saw': seen,
        'It lets in': list,
        'Seen from': describeView(visitor.view),
        'Why this address': visitor.attempt.decision.reason,
      }),
    },
  }
}

/** A single address is shown as such. */
function entryText(range: Cidr): string {
  return range.length === (range.family === 4 ? 32 : 128) ? range.base.text : range.text
}
