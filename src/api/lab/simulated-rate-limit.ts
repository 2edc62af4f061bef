// A rate limit on request, for trying how clients of Cloudflare's API behave when they are told to slow down (AP-11).
// Off until asked for; kept in memory, timed by the lab's clock.

import { counted } from '../../errors/counted.ts'
import { ApiError, WORDED_CODES } from '../api-error.ts'
import { ok } from '../response.ts'
import type { RateLimiter, Route, RouteCall } from '../router.ts'
import { RATE_LIMIT } from '../shapes/lab.ts'

const PATH = '/lab/v1/rate-limit'

/** The limit of one lab, off at first. `take` counts a request at `now` (the lab's clock, epoch ms) and throws
 *  ApiError 429 with `retry-after` (s) where it is one too many (AP-11). */
export function createRateLimiter(): RateLimiter {
  let windowStart = 0
  let taken = 0
  return {
    limit: null,
    take(now) {
      if (this.limit === null) return
      const { requests, seconds } = this.limit
      if (now < windowStart || now >= windowStart + seconds * 1000) [windowStart, taken] = [now, 0]
      taken++
      if (taken <= requests) return
      const wait = Math.ceil((windowStart + seconds * 1000 - now) / 1000)
      const message = `Please wait and consider throttling your request speed: ${counted(requests, 'request')} per ${seconds} s ${requests === 1 ? 'is' : 'are'} allowed`
      throw new ApiError(429, [{ code: WORDED_CODES.tooManyRequests, message }], {
        'retry-after': String(wait),
        'x-should-retry': 'true',
      })
    },
  }
}

export const RATE_LIMIT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: "the simulated rate limit of Cloudflare's API, null for none",
    access: 'token',
    answers: { kind: 'result', schema: RATE_LIMIT },
    handle: show,
  },
  {
    method: 'PUT',
    path: PATH,
    summary: 'simulates Cloudflare\'s rate limit: 429 after this many requests (`{"requests": 5, "seconds": 60}`)',
    access: 'token',
    answers: { kind: 'result', schema: RATE_LIMIT },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['requests', 'seconds'],
      properties: {
        requests: { type: 'integer', minimum: 0, maximum: 1_000_000 },
        seconds: { type: 'integer', minimum: 1, maximum: 86_400 },
      },
    },
    handle: (call) => {
      call.rateLimiter.limit = { requests: Number(call.body.requests), seconds: Number(call.body.seconds) }
      return show(call)
    },
  },
  {
    method: 'DELETE',
    path: PATH,
    summary: 'removes the rate limit',
    access: 'token',
    answers: { kind: 'result', schema: RATE_LIMIT },
    handle: (call) => {
      call.rateLimiter.limit = null
      return show(call)
    },
  },
]

function show({ rateLimiter }: RouteCall) {
  return ok(rateLimiter.limit)
}
