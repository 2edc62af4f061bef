// The fleet as this member sees it, and what is done to its members.

import { requestError } from '../api-error.ts'
import type { FleetPort } from '../ports.ts'
import { ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { FLEET, FLEET_EVENTS } from '../shapes/session-shapes.ts'

const PATH = '/lab/v1/fleet'

export const FLEET_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'the fleet as this member sees it: its members with state, link and revision',
    access: 'token',
    answers: { kind: 'result', schema: FLEET },
    handle: (call) => ok(fleetOf(call).status()),
  },
  {
    method: 'GET',
    path: `${PATH}/events`,
    summary: 'event stream (SSE): `session` per finished session at any member',
    access: 'token',
    answers: { kind: 'events', events: FLEET_EVENTS },
    handle: (call) => {
      const fleet = fleetOf(call)
      return {
        kind: 'stream',
        start: (send) => {
          send('hello', { revision: fleet.status().revision })
          return fleet.followSessions((record) => void send('session', record))
        },
      }
    },
  },
  {
    method: 'PUT',
    path: `${PATH}/members/{name}`,
    summary:
      'drains a member, so that its data center is down for new connections, or brings it back (`{"drained": true}`)',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: FLEET },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['drained'],
      properties: { drained: { type: 'boolean' } },
    },
    handle: async (call) => {
      const fleet = fleetOf(call)
      await fleet.drain(call.params.name ?? '', call.body.drained === true)
      return ok(fleet.status())
    },
  },
  {
    method: 'DELETE',
    path: `${PATH}/members/{name}`,
    summary: 'takes a member out of the fleet; its data center is then emulated where connections enter',
    access: 'token',
    answers: { kind: 'result', schema: FLEET },
    handle: async (call) => {
      const fleet = fleetOf(call)
      await fleet.leave(call.params.name ?? '')
      return ok(fleet.status())
    },
  },
]

function fleetOf({ ports }: Pick<RouteCall, 'ports'>): FleetPort {
  if (ports.fleet === undefined) throw requestError('noFleet')
  return ports.fleet
}
