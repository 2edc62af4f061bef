// One session with everything that is known of it: the record, the decision step by step under the policy that was in force,
// and the same connection as a case for `egresslab test`.

import type { JsonObject } from '../../config/lab-state.ts'
import { nearestOnly } from '../../decider/explain-connection.ts'
import { explain } from '../../policy/explain.ts'
import type { SessionDecision } from '../../proxy/stage-values.ts'
import { notFound } from '../api-error.ts'
import { type ApiResponse, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { SESSION_DETAIL, type SessionDetail } from '../shapes/session-shapes.ts'
import { rowOfFinished, rowOfOpen, rowOfOthers } from './session-row.ts'

export const SESSION_DETAIL_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/lab/v1/sessions/{id}',
    summary: 'one open or recently finished session: its record, its explained decision and a policy test for it',
    access: 'token',
    answers: { kind: 'result', schema: SESSION_DETAIL },
    looksAtTraffic: true,
    handle: detail,
  },
]

function detail(call: RouteCall): ApiResponse {
  const { diagnostics, plane } = call.ports
  const id = call.params.id ?? ''
  const open = diagnostics.findOpen(id)
  if (open !== undefined) {
    const row = rowOfOpen(open, plane.now(), call.ports.fleet?.status().member ?? '')
    return ok({ row, record: null, ...storyOf(call, open.decided, open.session.target) })
  }
  const finished = diagnostics.findFinished(id)
  const elsewhere = finished === undefined ? call.ports.fleet?.findSession(id) : undefined
  if (elsewhere !== undefined) {
    return ok({ row: rowOfOthers(elsewhere), record: elsewhere, ...storyOf(call, undefined, '') })
  }
  if (finished === undefined) throw notFound(`session \`${id}\` is neither open nor recent; look in the session log`)
  const { record, decided } = finished
  return ok({ row: rowOfFinished(finished), record, ...storyOf(call, decided, record.Lab.target) })
}

type Story = Pick<SessionDetail, 'policy' | 'explanation' | 'policy_test'>

function storyOf({ ports }: RouteCall, decided: SessionDecision | undefined, target: string): Story {
  if (decided === undefined) return { policy: null, explanation: null, policy_test: null }
  const { snapshot, flow } = decided
  const isCurrent = snapshot.revision === ports.plane.current().revision
  return {
    policy: { revision: snapshot.revision, current: isCurrent },
    explanation: nearestOnly(explain(snapshot, flow), snapshot),
    policy_test: policyTestOf(decided, target),
  }
}

/** In the keys of `config/policy-test.schema.json`. */
function policyTestOf({ flow, decision, snapshot }: SessionDecision, target: string): JsonObject {
  const { account } = snapshot
  const network = account.virtualNetworks.find(({ id }) => id === flow.virtualNetworkId)
  const destination = flow.host === undefined ? flow.destination.ip.text : flow.host
  const test = {
    name: `${flow.identity?.email ?? 'nobody'} to ${target}`,
    flow: {
      destination: `${destination.includes(':') ? `[${destination}]` : destination}:${flow.destination.port}`,
      ...(flow.identity === undefined ? {} : { user: flow.identity.email }),
      ...(network === undefined ? {} : { vnet: network.name }),
      ...(flow.device === undefined ? { source_ip: flow.source.ip.text } : { device: flow.device.name }),
      ...(flow.transport === 'udp' ? { protocol: 'udp' } : {}),
      ...(flow.proxyEndpoint === undefined ? {} : { endpoint: flow.proxyEndpoint }),
      ...(flow.host === undefined ? {} : { family: flow.destination.ip.family }),
      ...(account.colosDown.size === 0 ? {} : { colos_down: [...account.colosDown] }),
    },
    expect: {
      outcome: decision.outcome,
      rule: decision.rule?.name ?? null,
      egress_ip: decision.egress?.address.text ?? null,
      ingress_colo: decision.ingressColo.code,
      physical_colo: decision.physicalColo?.code ?? null,
      logical_colo: decision.logical?.colo.code ?? null,
    },
  }
  return test
}
