// Explain as a service: the very answer of `egresslab explain --json`.

import type { JsonObject } from '../../config/lab-state.ts'
import type { ExplainQuestion } from '../ports.ts'
import { ok } from '../response.ts'
import type { Route } from '../router.ts'
import { EXPLANATION } from '../shapes/explanations.ts'

const text = { type: 'string', minLength: 1, maxLength: 2048 } as const

export const EXPLAIN_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/lab/v1/explain',
    summary: 'decides a hypothetical connection and explains the decision step by step; sends no traffic',
    access: 'token',
    role: 'viewer',
    answers: { kind: 'result', schema: EXPLANATION },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['destination'],
      properties: {
        destination: { ...text, description: 'a URL, `host:port` or `ip:port`' },
        user: text,
        vnet: text,
        source_ip: text,
        device: text,
        protocol: { enum: ['tcp', 'udp'] },
        endpoint: text,
        family: { enum: [4, 6] },
        colos_down: { type: 'array', maxItems: 500, items: text },
      },
    },
    handle: async ({ ports, body }) => ok(await ports.explain(questionOf(body))),
  },
]

/** The body in our names; its schema has made sure of the types. */
function questionOf(body: JsonObject): ExplainQuestion {
  const { source_ip: sourceIp, colos_down: colosDown, ...rest } = body
  const renamed = { ...(sourceIp === undefined ? {} : { sourceIp }), ...(colosDown === undefined ? {} : { colosDown }) }
  return { ...rest, ...renamed } as unknown as ExplainQuestion
}
