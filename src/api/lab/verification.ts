// The documented verification as a button, for the operator and for people themselves; the test origins with whom they let in;
// and where other sites believe the account's addresses are.

import { locationSeen } from '../../geo/site-view.ts'
import { canonicalEmail } from '../../policy/canonical-email.ts'
import { invalidField } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { GEOLOCATION, ORIGIN, VERIFICATION } from '../shapes/lab.ts'

const text = { type: 'string', minLength: 1, maxLength: 256 } as const

export const VERIFICATION_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/lab/v1/verify',
    summary: 'requests the echo origins through the proxy as a user and checks that they saw a dedicated IP',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: VERIFICATION },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['user'],
      properties: {
        user: text,
        password: { ...text, description: 'needed if the configuration has only its hash' },
        vnet: text,
      },
    },
    handle: verify,
  },
  {
    method: 'POST',
    path: '/lab/v1/me/verify',
    summary: 'requests the echo origins through the proxy as yourself',
    access: 'user',
    answers: { kind: 'result', schema: VERIFICATION },
    body: { type: 'object', additionalProperties: false },
    handle: verifyMe,
  },
  {
    method: 'GET',
    path: '/lab/v1/origins',
    summary: 'test origins, their allowlists, and which users they would admit now',
    access: 'token',
    answers: { kind: 'list', schema: ORIGIN },
    handle: async ({ ports }) =>
      listOf(
        (await ports.diagnostics.origins()).map(({ proxiedByCloudflare, allow, visitors, ...rest }) => ({
          ...rest,
          proxied_by_cloudflare: proxiedByCloudflare,
          allow: allow ?? null,
          visitors: visitors.map(({ letIn, ...visitor }) => ({ ...visitor, let_in: letIn })),
        })),
      ),
  },
  {
    method: 'GET',
    path: '/lab/v1/geolocations',
    summary: "where geolocation databases place the dedicated egress IPs at the lab's time, and until when",
    access: 'token',
    answers: { kind: 'list', schema: GEOLOCATION },
    handle: geolocations,
  },
]

async function verify(call: RouteCall) {
  const user = known(call, String(call.body.user))
  const { password, vnet } = call.body
  const answers = await call.ports.diagnostics.verify({
    user,
    ...(typeof password === 'string' ? { password } : {}),
    ...(typeof vnet === 'string' ? { vnet } : {}),
  })
  if (answers === undefined) {
    throw invalidField('/password', `the lab has only a hash of the password of \`${user}\`: send the password`)
  }
  return ok({ user, dedicated: answers.length > 0 && answers.every(({ dedicated }) => dedicated), answers })
}

/** With the very credentials of this request. */
async function verifyMe(call: RouteCall) {
  if (call.choices !== '') {
    const message = `the verification uses each address family and your virtual network: remove \`;${call.choices}\` from the user name`
    throw invalidField('/authorization', message)
  }
  const answers = (await call.ports.diagnostics.verify({ user: call.user, password: call.password })) ?? []
  return ok({ user: call.user, dedicated: answers.length > 0 && answers.every(({ dedicated }) => dedicated), answers })
}

function known(call: RouteCall, email: string): string {
  const users = call.ports.users()
  const user = users.find((candidate) => candidate.email === canonicalEmail(email))
  if (user !== undefined) return user.email
  throw invalidField('/user', `unknown user \`${email}\`; known are ${users.map((each) => each.email).join(', ')}`)
}

function geolocations({ ports }: RouteCall) {
  const { account, tables } = ports.plane.current()
  const now = ports.plane.now()
  return listOf(
    account.dedicatedIps.flatMap(({ colo, ipv4, ipv6, geolocation, geolocationUpdatedAt }) => {
      const address = ipv4?.address ?? ipv6?.range.base
      const seen = address === undefined ? undefined : locationSeen(tables, address, now)
      if (address === undefined || seen === undefined) return []
      const place = { city: geolocation.city ?? null, country: geolocation.country ?? null }
      return [
        {
          colo,
          ipv4: ipv4?.address.text ?? null,
          ipv6: ipv6?.range.text ?? null,
          place,
          seen: { city: seen.city ?? null, country: seen.country ?? null },
          caught_up: seen.known,
          updated_at: geolocationUpdatedAt === undefined ? null : new Date(geolocationUpdatedAt).toISOString(),
        },
      ]
    }),
  )
}
