// The echo sites (icanhazip.com, ifconfig.me): the answer is the visitor's address alone and a line feed.

import type { Answer } from './answer.ts'
import { factList } from './page.ts'
import { describeView, type Visit, type Visitor, visitFacts } from './visit.ts'

/** The address in the form asked for; at `/json` always JSON, at `/ip` always plain. */
export function echo(visit: Visit, visitor: Visitor): Answer {
  const facts = visitFacts(visit, visitor)
  const only = ONLY[visit.path]
  return {
    status: 200,
    text: `${visitor.address.text}\n`,
    json: facts,
    ...(only === undefined ? {} : { only }),
    page: {
      title: visit.site.spec.title,
      headline: visitor.address.text,
      tone: 'plain',
      body: factList({
        'Seen from': describeView(visitor.view),
        'Left the lab at': facts.lab.physical_colo ?? undefined,
        Outcome: facts.lab.outcome,
        Why: facts.lab.reason,
        'Really bound': facts.lab.bound,
        'You asked': `${visit.scheme}://${facts.site.name} (${facts.site.address})`,
      }),
    },
  }
}

const ONLY: Readonly<Record<string, 'json' | 'text'>> = { '/json': 'json', '/all.json': 'json', '/ip': 'text' }
