// `/gateway/rules` ([R1] to [R14], [A3]).

import type { Draft, JsonObject, RuleDocument, Stored } from '../../config/lab-state.ts'
import { precedenceOf, SERVER_FIELDS } from '../../config/rule-document.ts'
import type { Mode } from '../../expression/index.ts'
import { KNOWN_ACTIONS, nextPrecedence, RULE_FILTERS } from '../../policy/rule-check.ts'
import { invalidField, NOTICE_CODES, notFound } from '../api-error.ts'
import { type ApiMessage, listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { idContains, nameContains, type Selection, select, selectionParameters } from '../select.ts'
import { DELETED, RULE } from '../shapes/cloudflare.ts'
import { fromRuleDocument, toRuleDocument } from './rule-document.ts'
import { EXPIRATION, foreignSettings, RULE_SETTINGS, SCHEDULE } from './rule-settings.ts'
import { FLAG, find, liveOf, NAME, newId, objectOf, TEXT, UUID, written } from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/gateway/rules'
const MINUTE_MS = 60_000
const IS_UUID = new RegExp(UUID.pattern)
/** of an account ([R14]) */
const MOST_RULES = 500

/** What the body of a rule must be, for creating, replacing and previewing. */
export const RULE_BODY = objectOf(
  {
    name: NAME,
    description: TEXT,
    action: { type: 'string', minLength: 1, maxLength: 64, format: 'rule-action' },
    enabled: FLAG,
    filters: { type: ['array', 'null'], maxItems: 1, items: { enum: RULE_FILTERS } },
    precedence: { type: ['integer', 'null'], minimum: 0, maximum: 2_147_483_647 },
    traffic: { ...TEXT, maxLength: 65_536 },
    identity: { ...TEXT, maxLength: 65_536 },
    device_posture: { ...TEXT, maxLength: 65_536 },
    rule_settings: RULE_SETTINGS,
    schedule: SCHEDULE,
    expiration: EXPIRATION,
    ...Object.fromEntries(SERVER_FIELDS.map((field) => [field, {}])),
  },
  ['name', 'action'],
)

const SELECTION: Selection<Stored<'rule'>> = {
  searchIn: ({ value }) => [value.name, value.description],
  filters: {
    name: { fits: ({ value }, text) => nameContains(value.name, text) },
    id: { fits: ({ value }, text) => idContains(value.id, text) },
    action: { fits: ({ value }, text) => value.action === text, values: KNOWN_ACTIONS },
    enabled: { fits: ({ value }, text) => String(value.enabled) === text, values: ['true', 'false'] },
    filters: { fits: ({ value }, text) => value.filters.includes(text), values: RULE_FILTERS },
    is_shared: { fits: (_rule, text) => text === 'false', values: ['true', 'false'] },
    expression: {
      fits: ({ value }, text) => nameContains(`${value.traffic}\n${value.identity}\n${value.devicePosture}`, text),
    },
  },
  orders: {
    name: { by: ({ value }) => value.name.toLowerCase() },
    precedence: { by: ({ value }) => value.precedence },
    created_at: { by: ({ createdAt }) => createdAt },
    updated_at: { by: ({ updatedAt }) => updatedAt },
  },
  standardOrder: ({ value }) => value.precedence,
}

export const RULE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists rules of every type by precedence',
    access: 'token',
    answers: { kind: 'list', schema: RULE },
    query: selectionParameters(SELECTION),
    handle: (call) =>
      listOf(select(liveOf(call, 'rule'), call.query, SELECTION).map((rule) => presentRule(call, rule))),
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a rule',
    access: 'token',
    answers: { kind: 'result', schema: RULE },
    body: RULE_BODY,
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one rule',
    access: 'token',
    answers: { kind: 'result', schema: RULE },
    handle: (call) => ok(presentRule(call, find(call, 'rule', call.params.id ?? '', 'rule'))),
  },
  {
    method: 'PUT',
    path: `${PATH}/{id}`,
    summary: 'replaces a rule; omitted fields return to their defaults, except the precedence',
    access: 'token',
    answers: { kind: 'result', schema: RULE },
    body: RULE_BODY,
    handle: replace,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a rule',
    access: 'token',
    answers: { kind: 'result', schema: DELETED },
    handle: remove,
  },
  {
    method: 'POST',
    path: `${PATH}/{id}/reset_expiration`,
    summary: 'a `dns` rule with a default duration is in force for that long from now on',
    access: 'token',
    answers: { kind: 'result', schema: RULE },
    body: objectOf({}),
    handle: resetExpiration,
  },
  {
    method: 'PUT',
    path: '/lab/v1/rules',
    summary:
      'replaces all rules with these, in one step; ids are kept, and rules without a precedence keep their order',
    access: 'token',
    answers: { kind: 'list', schema: RULE },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['rules'],
      properties: { rules: { type: 'array', maxItems: MOST_RULES, items: RULE_BODY } },
    },
    handle: replaceAll,
  },
]

function create(call: RouteCall) {
  const id = newId()
  const mode = modeOf(call)
  call.change((draft) => draft.put('rule', ruleOf(draft, id, call.body, mode)))
  return shown(call, id)
}

function replace(call: RouteCall) {
  const id = (call.params.id ?? '').toLowerCase()
  const mode = modeOf(call)
  call.change((draft) => {
    if (draft.get('rule', id) === undefined) throw notFound(`rule \`${id}\` not found`)
    draft.put('rule', ruleOf(draft, id, call.body, mode))
  })
  return shown(call, id)
}

/** [R14]: minutes from the lab's time on. */
function resetExpiration(call: RouteCall) {
  const id = (call.params.id ?? '').toLowerCase()
  call.change((draft) => {
    const before = draft.get('rule', id)
    if (before === undefined) throw notFound(`rule \`${id}\` not found`)
    const { expires_at: end, duration, ...rest } = Object(before.rest.expiration) as JsonObject
    if (typeof end !== 'string' || typeof duration !== 'number' || duration === 0) {
      const message = 'the rule has no `expiration` with `expires_at` and `duration`, the minutes it is to be in force'
      throw invalidField('/expiration', message)
    }
    const expires = new Date(call.ports.plane.now() + duration * MINUTE_MS).toISOString().replace(/\.\d+Z$/, 'Z')
    draft.put('rule', { ...before, rest: { ...before.rest, expiration: { ...rest, expires_at: expires, duration } } })
  })
  return shown(call, id)
}

function shown(call: RouteCall, id: string) {
  const stored = written(call, 'rule', id)
  return ok(presentRule(call, stored), { messages: [...neverEvaluated(call, stored), ...withoutEffect(stored)] })
}

/** Settings that rules of this type do not have, in a rule that the lab only keeps. */
function withoutEffect({ value }: Stored<'rule'>): ApiMessage[] {
  const type = value.filters[0] ?? 'none'
  return foreignSettings(value.rest.rule_settings, type).map((name) => ({
    code: NOTICE_CODES.settingWithoutEffect,
    message: `\`rule_settings.${name}\` has no effect: rules of type \`${type}\` have no such setting`,
  }))
}

function replaceAll(call: RouteCall) {
  const mode = modeOf(call)
  const bodies = call.body.rules as readonly JsonObject[]
  const ids = bodies.map(({ id }) => (typeof id === 'string' && IS_UUID.test(id) ? id.toLowerCase() : newId()))
  call.change((draft) => {
    for (const { id } of draft.all('rule')) draft.remove('rule', id)
    for (const [at, body] of bodies.entries()) draft.put('rule', ruleOf(draft, ids[at] ?? '', body, mode))
  })
  return listOf(ids.map((id) => presentRule(call, written(call, 'rule', id))))
}

function remove(call: RouteCall) {
  const id = (call.params.id ?? '').toLowerCase()
  call.change((draft) => {
    if (!draft.remove('rule', id)) throw notFound(`rule \`${id}\` not found`)
  })
  return ok({ id })
}

/** The rule a body makes: at the precedence it asks for, else where it stands, else behind the others ([R3]). Throws as
 *  {@link toRuleDocument}; the one way to create, replace and preview. */
export function ruleOf(draft: Draft, id: string, body: JsonObject, mode: Mode): RuleDocument {
  const before = draft.get('rule', id)
  const behind = () => nextPrecedence(draft.all('rule'), Math.random())
  const precedence = precedenceOf(body) ?? before?.precedence ?? behind()
  return toRuleDocument(body, { id, precedence, mode, lists: draft.all('list') })
}

/** [R9]: said once per type of rule and run of the lab. */
function neverEvaluated(call: RouteCall, { value }: Stored<'rule'>): ApiMessage[] {
  const type = value.filters[0] ?? 'none'
  const told = toldOf.get(call.ports) ?? new Set<string>()
  toldOf.set(call.ports, told)
  if (type === 'egress' || told.has(type)) return []
  told.add(type)
  const message =
    type === 'dns'
      ? 'rules of type `dns` are stored and returned; Gateway DNS of this lab evaluates those that allow, block or override by the name and the type of a query'
      : `rules of type \`${type}\` are stored and returned, but never evaluated by this lab`
  call.ports.notice(message)
  return [{ code: NOTICE_CODES.neverEvaluated, message }]
}

const toldOf = new WeakMap<object, Set<string>>()

/** A rule in the form of Cloudflare's API. */
export function presentRule(call: RouteCall, stored: Stored<'rule'>) {
  const { plane } = call.ports
  const { account } = plane.current()
  return fromRuleDocument(stored, { account, readOnly: plane.rulesFromFile, mode: modeOf(call), now: plane.now() })
}

function modeOf(call: RouteCall) {
  return call.ports.plane.current().account.settings.expressions
}
