// Explain as a service, for one connection and for all of them: the very answers of `egresslab explain --json` and
// `egresslab matrix --format json`.

import type { JsonObject } from '../../config/lab-state.ts'
import type { MatrixQuestion } from '../../decider/matrix-question.ts'
import type { ExplainQuestion } from '../ports.ts'
import { ok } from '../response.ts'
import type { QueryParameter, Route } from '../router.ts'
import { wordOf } from '../select.ts'
import { EXPLANATION, MATRIX } from '../shapes/explanations.ts'

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
  {
    method: 'GET',
    path: '/lab/v1/matrix',
    summary:
      'who leaves from where: people and virtual networks by destinations, with rule, egress IP and let in or refused',
    access: 'token',
    answers: { kind: 'result', schema: MATRIX },
    query: [
      several('users', 'email addresses'),
      several('groups', 'names of groups, for their people only'),
      several('destinations', 'URLs, hosts or `host:port`; default: those of the configuration'),
      several('vnets', 'names or ids, or `all`; default: the network of each person'),
      several('down', 'data centers to take as down, together; `each`: those with a dedicated IP in turn'),
      {
        name: 'family',
        schema: { enum: ['4', '6'] },
        description: 'address family to use; default: that of the address tried first',
      },
    ],
    handle: async ({ ports, query }) => ok(await ports.matrix(matrixQuestion(query))),
  },
]

const LISTS = ['users', 'groups', 'destinations', 'vnets', 'down'] as const

function several(name: (typeof LISTS)[number], description: string): QueryParameter {
  return { name, schema: { type: 'array', items: text }, description: `${description}; repeated or between commas` }
}

function matrixQuestion(query: URLSearchParams): MatrixQuestion {
  const lists = LISTS.flatMap((name) => {
    const words = query.getAll(name).flatMap((value) => value.split(','))
    return words.length === 0 ? [] : [[name, words] as const]
  })
  const family = wordOf(query, 'family', ['4', '6'])
  return { ...Object.fromEntries(lists), ...(family === undefined ? {} : { family: family === '4' ? 4 : 6 }) }
}

/** The body in our names; its schema has made sure of the types. */
function questionOf(body: JsonObject): ExplainQuestion {
  const { source_ip: sourceIp, colos_down: colosDown, ...rest } = body
  const renamed = { ...(sourceIp === undefined ? {} : { sourceIp }), ...(colosDown === undefined ? {} : { colosDown }) }
  return { ...rest, ...renamed } as unknown as ExplainQuestion
}
