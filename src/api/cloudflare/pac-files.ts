// `/gateway/pacfiles`, and serving them: a PAC file is public by nature, so there is nothing but its text (AP-10).

import type { Stored } from '../../config/lab-state.ts'
import { invalidField, notFound } from '../api-error.ts'
import { PAC_CONTENT_TYPE } from '../lab/client-files.ts'
import { type ApiResponse, listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { PAGING, pagingOf } from '../select.ts'
import { DELETED, PAC_FILE, PAC_FILE_SUMMARY } from '../shapes/cloudflare.ts'
import { find, liveOf, NAME, newId, objectOf, seconds, TEXT, textField, written } from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/gateway/pacfiles'
const MAX_CONTENTS = 256 * 1024
const CONTENTS = { type: 'string', minLength: 1, maxLength: MAX_CONTENTS, format: 'pac-file' } as const
const SLUG = { type: 'string', pattern: '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$' } as const

export const PAC_FILE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists PAC files, without their contents',
    access: 'token',
    answers: { kind: 'list', schema: PAC_FILE_SUMMARY },
    query: PAGING,
    handle: (call) =>
      listOf(
        liveOf(call, 'pacFile').map((file) => summary(call, file)),
        pagingOf(call.query),
      ),
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a PAC file',
    access: 'token',
    answers: { kind: 'result', schema: PAC_FILE },
    body: objectOf({ name: NAME, description: TEXT, contents: CONTENTS, slug: SLUG }, ['name', 'contents']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one PAC file with its contents',
    access: 'token',
    answers: { kind: 'result', schema: PAC_FILE },
    handle: (call) => ok(full(call, find(call, 'pacFile', call.params.id ?? '', 'PAC file'))),
  },
  {
    method: 'PUT',
    path: `${PATH}/{id}`,
    summary: 'replaces the name, description and contents; the slug does not change',
    access: 'token',
    answers: { kind: 'result', schema: PAC_FILE },
    body: objectOf({ name: NAME, description: TEXT, contents: CONTENTS, slug: {}, url: {} }, ['name', 'contents']),
    handle: replace,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a PAC file',
    access: 'token',
    answers: { kind: 'result', schema: DELETED },
    handle: (call) => {
      const id = (call.params.id ?? '').toLowerCase()
      call.change((draft) => {
        if (!draft.remove('pacFile', id)) throw notFound(`PAC file \`${id}\` not found`)
      })
      return ok({ id })
    },
  },
  {
    method: 'GET',
    path: '/pac/{slug}',
    summary: 'the PAC file itself, for browsers',
    access: 'open',
    answers: { kind: 'bytes', mediaType: PAC_CONTENT_TYPE, description: 'a PAC file' },
    unknownQuery: 'ignored',
    handle: serve,
  },
]

function create(call: RouteCall) {
  const id = newId()
  const { body } = call
  const contents = contentsOf(call)
  const name = textField(body, 'name')
  call.change((draft) => {
    const taken = new Set(draft.all('pacFile').map(({ slug }) => slug))
    const slug = textField(body, 'slug') || freeSlug(name, taken)
    draft.put('pacFile', { id, name, slug, ...descriptionOf(body), contents })
  })
  return ok(full(call, written(call, 'pacFile', id)))
}

function replace(call: RouteCall) {
  const id = (call.params.id ?? '').toLowerCase()
  const { body } = call
  const contents = contentsOf(call)
  call.change((draft) => {
    const before = draft.get('pacFile', id)
    if (before === undefined) throw notFound(`PAC file \`${id}\` not found`)
    draft.put('pacFile', { id, name: textField(body, 'name'), slug: before.slug, ...descriptionOf(body), contents })
  })
  return ok(full(call, written(call, 'pacFile', id)))
}

/** One that was never sent is not there, so that declarative clients see what they sent. */
function descriptionOf({ description }: RouteCall['body']): { description?: string } {
  return typeof description === 'string' ? { description } : {}
}

function contentsOf({ body }: RouteCall): string {
  const contents = textField(body, 'contents')
  if (Buffer.byteLength(contents) > MAX_CONTENTS) throw invalidField('/contents', `more than ${MAX_CONTENTS} bytes`)
  if (!/\bFindProxyForURL\b/.test(contents)) throw invalidField('/contents', 'a PAC file must define `FindProxyForURL`')
  return contents
}

function freeSlug(name: string, taken: ReadonlySet<string>): string {
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? ['pac']
  const base = words.join('-').slice(0, 56).replace(/-$/, '')
  for (let count = 1; ; count++) {
    const slug = count === 1 ? base : `${base}-${count}`
    if (!taken.has(slug)) return slug
  }
}

function serve(call: RouteCall): ApiResponse {
  const file = liveOf(call, 'pacFile').find(({ value }) => value.slug === call.params.slug)
  if (file === undefined) throw notFound('PAC file not found')
  return { kind: 'text', status: 200, contentType: PAC_CONTENT_TYPE, body: file.value.contents }
}

function summary(call: RouteCall, { value, createdAt, updatedAt }: Stored<'pacFile'>) {
  const { id, name, slug, description } = value
  const times = { created_at: seconds(createdAt), updated_at: seconds(updatedAt) }
  const described = description === undefined ? {} : { description }
  return { id, name, slug, ...described, url: `${call.site.url}/pac/${slug}`, ...times }
}

function full(call: RouteCall, stored: Stored<'pacFile'>) {
  return { ...summary(call, stored), contents: stored.value.contents }
}
