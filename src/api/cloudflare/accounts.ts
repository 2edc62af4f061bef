// `/accounts` and what clients ask before anything else: the lab has one account, and the token is good. And the numbers that rules
// compare with, as the configuration declares them.

import { OWNER } from '../authentication.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { PAGING, pagingOf } from '../select.ts'
import { ACCOUNT, APP_TYPE, CATEGORY, VERIFIED_TOKEN } from '../shapes/cloudflare.ts'

export const ACCOUNT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/client/v4/accounts',
    summary: "the lab's one account",
    access: 'token',
    answers: { kind: 'list', schema: ACCOUNT },
    query: PAGING,
    handle: (call) => listOf([account(call)], pagingOf(call.query)),
  },
  {
    method: 'GET',
    path: '/client/v4/accounts/{account_id}',
    summary: "the lab's one account",
    access: 'token',
    answers: { kind: 'result', schema: ACCOUNT },
    handle: (call) => ok(account(call)),
  },
  {
    method: 'GET',
    path: '/client/v4/user/tokens/verify',
    summary: 'checks that the token is valid',
    access: 'token',
    answers: { kind: 'result', schema: VERIFIED_TOKEN },
    handle: ({ principal = OWNER }) =>
      ok({ id: principal === OWNER ? '0'.repeat(32) : principal.id.replaceAll('-', ''), status: 'active' }),
  },
  {
    method: 'GET',
    path: '/client/v4/accounts/{account_id}/gateway/app_types',
    summary: 'applications of the configuration, whose ids `app.ids` has, and their one type',
    access: 'token',
    answers: { kind: 'list', schema: APP_TYPE },
    handle: ({ ports }) =>
      listOf([
        ...ports.catalogue().applications.map((application) => ({ ...application, application_type_id: 0, ...AGE })),
        { id: 0, name: 'Lab', description: 'applications that the configuration declares', ...AGE },
      ]),
  },
  {
    method: 'GET',
    path: '/client/v4/accounts/{account_id}/gateway/categories',
    summary: 'content categories of the configuration, whose ids `net.fqdn.content_category` has',
    access: 'token',
    answers: { kind: 'list', schema: CATEGORY },
    handle: ({ ports }) =>
      listOf(
        ports.catalogue().contentCategories.map((category) => ({
          ...category,
          description: `content such as that of ${category.name}`,
          class: 'free',
          beta: false,
          subcategories: [],
        })),
      ),
  },
]

const AGE = { created_at: '2024-01-01T00:00:00Z' }

function account(call: RouteCall) {
  const { id, name } = call.ports.plane.current().account
  const settings = { enforce_twofactor: false, abuse_contact_email: null }
  return { id, name, type: 'standard', settings, created_on: '2024-01-01T00:00:00.000000Z' }
}
