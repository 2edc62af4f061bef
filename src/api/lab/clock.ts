// The lab's clock: it runs at the machine's pace, from wherever it was set.

import { invalidField } from '../api-error.ts'
import { ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { parseInstant } from '../select.ts'
import { CLOCK } from '../shapes/lab.ts'

const PATH = '/lab/v1/clock'
const MAX_OFFSET_MS = 100 * 365.25 * 24 * 3600 * 1000

export const CLOCK_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: "the lab's time and its offset from the machine's",
    access: 'token',
    answers: { kind: 'result', schema: CLOCK },
    handle: show,
  },
  {
    method: 'PUT',
    path: PATH,
    summary: 'sets the clock (`{"time": "2027-01-01T00:00:00Z"}`)',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: CLOCK },
    body: { type: 'object', additionalProperties: false, required: ['time'], properties: { time: { type: 'string' } } },
    handle: (call) => {
      const wanted = parseInstant(String(call.body.time), '/time')
      return shift(call, wanted - call.ports.plane.now())
    },
  },
  {
    method: 'POST',
    path: `${PATH}/advance`,
    summary: 'moves the clock forward or back (`{"seconds": 86400}`)',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: CLOCK },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['seconds'],
      properties: { seconds: { type: 'number' } },
    },
    handle: (call) => shift(call, Number(call.body.seconds) * 1000),
  },
  {
    method: 'DELETE',
    path: PATH,
    summary: "returns to the machine's time",
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: CLOCK },
    handle: (call) => {
      call.ports.plane.setClockOffset(0)
      return show(call)
    },
  },
]

function shift(call: RouteCall, byMs: number) {
  const offset = offsetOf(call) + byMs
  if (!(Math.abs(offset) <= MAX_OFFSET_MS)) throw invalidField('', 'the clock can be at most 100 years off')
  call.ports.plane.setClockOffset(offset)
  return show(call)
}

function show(call: RouteCall) {
  const time = new Date(call.ports.plane.now()).toISOString()
  return ok({ time, offset_seconds: offsetOf(call) / 1000 })
}

function offsetOf(call: RouteCall): number {
  return call.ports.plane.current().state.clock.get('lab')?.value.offsetMs ?? 0
}
