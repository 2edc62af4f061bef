// Data centers: what there is, and taking one out.

import { closest } from '../../errors/did-you-mean.ts'
import { notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf } from '../select.ts'
import { CHANGED_COLO, COLO } from '../shapes/lab.ts'

const PATH = '/lab/v1/colos'

export const COLO_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'data centers that are down or have dedicated egress IPs; all with `all=true`',
    access: 'token',
    answers: { kind: 'list', schema: COLO },
    query: [{ name: 'all', schema: { type: 'boolean' }, description: 'every data center' }],
    handle: list,
  },
  {
    method: 'GET',
    path: `${PATH}/{code}`,
    summary: 'one data center',
    access: 'token',
    answers: { kind: 'result', schema: COLO },
    handle: (call) => ok(present(call, codeOf(call))),
  },
  {
    method: 'PUT',
    path: `${PATH}/{code}`,
    summary:
      'takes a data center down (`{"up": false}`; `"connections": "reset"` resets open connections) or brings it back up',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: CHANGED_COLO },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['up'],
      properties: { up: { type: 'boolean' }, connections: { type: 'string', enum: ['keep', 'reset'] } },
    },
    handle: change,
  },
]

function list(call: RouteCall) {
  const all = booleanOf(call.query, 'all') ?? false
  const rows = [...call.ports.plane.current().account.colos.keys()].map((code) => present(call, code))
  return listOf(rows.filter(({ up, dedicated_ips }) => all || !up || dedicated_ips.length > 0))
}

/** A data center that comes back affects no open connection. */
async function change(call: RouteCall) {
  const { body, ports } = call
  const code = codeOf(call)
  const up = body.up === true
  ports.plane.setColoDown(code, !up)
  const row = present(call, code)
  if (up) return ok(row)
  const { reset, count } = await ports.sessions.settle(code, body.connections === 'reset')
  return ok({ ...row, connections: { kept: reset ? 0 : count, reset: reset ? count : 0 } })
}

function codeOf(call: RouteCall): string {
  const code = (call.params.code ?? '').toUpperCase()
  const { colos } = call.ports.plane.current().account
  if (colos.has(code)) return code
  const guess = closest(code, colos.keys())
  const hint = guess === undefined ? '`egresslab colo list --all` has all of them' : `did you mean \`${guess}\`?`
  throw notFound(`unknown data center \`${code}\`; ${hint}`)
}

function present(call: RouteCall, code: string) {
  const { colos, colosDown, dedicatedIps } = call.ports.plane.current().account
  const colo = colos.get(code)
  return {
    code,
    city: colo?.city ?? '',
    country: colo?.country ?? '',
    latitude: colo?.latitude ?? 0,
    longitude: colo?.longitude ?? 0,
    up: !colosDown.has(code),
    dedicated_ips: dedicatedIps
      .filter((ip) => ip.colo === code)
      .map(({ ipv4, ipv6 }) => ({ ipv4: ipv4?.address.text ?? null, ipv6: ipv6?.range.text ?? null })),
  }
}
