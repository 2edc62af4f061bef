// Named tokens: made, listed and revoked by admins; and what the caller's own may do.

import { parsePeriodMs } from '../../config/formats.ts'
import { ROLES, type Role } from '../../config/lab-state.ts'
import type { AccessToken } from '../../store/access-tokens.ts'
import { invalidField, requestError } from '../api-error.ts'
import { OWNER } from '../authentication.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { MADE_TOKEN, NAMED_TOKEN, OWN_TOKEN } from '../shapes/lab.ts'

const PATH = '/lab/v1/tokens'
const USUAL_LIFE = '90d'
const LONGEST_LIFE_MS = 3660 * 86_400_000

export const TOKEN_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'named tokens with their roles, without their text',
    access: 'token',
    role: 'admin',
    answers: { kind: 'list', schema: NAMED_TOKEN },
    handle: ({ ports }) => listOf(ports.tokens.list().map(rowOf)),
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a named token and shows it only once (`{"name": "ci", "role": "viewer", "expires": "90d"}`)',
    access: 'token',
    answers: { kind: 'result', schema: MADE_TOKEN },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'role'],
      properties: {
        name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}$' },
        role: { enum: ROLES },
        expires: { type: ['string', 'null'], description: 'a duration such as `90d`, the default; null for never' },
      },
    },
    handle: create,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'revokes a named token, by id or name; its event streams end',
    access: 'token',
    answers: { kind: 'result', schema: NAMED_TOKEN },
    handle: ({ ports, params, noteChange }) => {
      const row = rowOf(ports.tokens.revoke(params.id ?? ''))
      noteChange({ kind: 'token', id: row.id, action: 'deleted', before: row, after: null })
      return ok(row)
    },
  },
  {
    method: 'GET',
    path: '/lab/v1/token',
    summary: "name, role and end of the caller's own token or sign-in",
    access: 'token',
    answers: { kind: 'result', schema: OWN_TOKEN },
    handle: ({ principal }) => {
      if (principal === undefined) throw requestError('authentication')
      return ok({
        kind: principal.kind,
        name: principal.name,
        role: principal.role,
        expires_at: timeOf(principal.expiresAt),
      })
    },
  },
]

function create({ ports, body, noteChange }: RouteCall) {
  const { name, expires = USUAL_LIFE } = body
  if (name === OWNER.name) throw invalidField('/name', `\`${OWNER.name}\` is the name of the lab's own token`)
  const lifeMs = expires === null ? null : parsePeriodMs(String(expires))
  if (lifeMs === undefined || (lifeMs !== null && lifeMs > LONGEST_LIFE_MS)) {
    throw invalidField('/expires', `\`${expires}\` is not a duration such as \`90d\`, at most 3660 days`)
  }
  const expiresAt = lifeMs === null ? null : Date.now() + lifeMs
  const { token, text } = ports.tokens.create({ name: String(name), role: body.role as Role, expiresAt })
  noteChange({ kind: 'token', id: token.id, action: 'created', before: null, after: rowOf(token) })
  return ok({ ...rowOf(token), token: text })
}

function rowOf({ id, name, role, createdAt, expiresAt, lastUsedAt }: AccessToken) {
  const times = { created_at: timeOf(createdAt), expires_at: timeOf(expiresAt), last_used_at: timeOf(lastUsedAt) }
  return { id, name, role, ...times }
}

function timeOf(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
