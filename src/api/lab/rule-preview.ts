// A rule before it is saved: everything wrong with it, where exactly, and what the last sessions would have become. Nothing
// is changed.

import { checkPractices } from '../../analysis/best-practices.ts'
import type { JsonObject, LabSnapshot } from '../../config/lab-state.ts'
import { precedenceOf, readRule } from '../../config/rule-document.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { InputError } from '../../errors/issue.ts'
import { decide } from '../../policy/decide.ts'
import type { Decision } from '../../policy/decision.ts'
import { SLOT_NAMES } from '../../policy/fields.ts'
import { checkRule, nextPrecedence } from '../../policy/rule-check.ts'
import type { RuleIssue } from '../../policy/rule-expressions.ts'
import type { World } from '../../prove/subject.ts'
import type { RecentSession } from '../../proxy/live-sessions.ts'
import { ApiError, invalidField, notFound } from '../api-error.ts'
import { RULE_BODY, ruleOf } from '../cloudflare/rules.ts'
import type { ControlPlane } from '../ports.ts'
import { type ApiResponse, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { PREVIEW, RULE_DIFFERENCE, type RuleProblem } from '../shapes/lab.ts'
import { compileSchema } from '../validate.ts'

const MOST_SESSIONS = 5000
const MOST_SHOWN = 50
const NEW_RULE = 'new'

/** Members of a body that says which rule changes, and to what. */
const CHANGED_RULE = {
  id: { type: ['string', 'null'], maxLength: 64, description: 'the rule to replace or delete; null for a new one' },
  rule: { type: ['object', 'null'] },
} as const

export const RULE_PREVIEW_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/lab/v1/rules/preview',
    summary: 'checks a rule before it is saved and shows how it would change recent sessions',
    access: 'token',
    role: 'viewer',
    answers: { kind: 'result', schema: PREVIEW },
    looksAtTraffic: true,
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['rule'],
      properties: {
        ...CHANGED_RULE,
        sessions: {
          type: 'integer',
          minimum: 0,
          maximum: MOST_SESSIONS,
          description: 'number of recent sessions to try',
        },
      },
    },
    handle: preview,
  },
  {
    method: 'POST',
    path: '/lab/v1/rules/difference',
    summary: 'proves which connections a rule would move, before it is saved; needs the optional solver',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: RULE_DIFFERENCE },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['rule'],
      properties: {
        ...CHANGED_RULE,
        seconds: { type: 'integer', minimum: 1, maximum: 120, description: 'time limit, 10 unless given' },
      },
    },
    handle: difference,
  },
]

interface Prepared {
  readonly id: string
  readonly problems: readonly RuleProblem[]
  /** absent where the rule could not be saved */
  readonly after?: LabSnapshot
}

/** Told by the very steps of creating and replacing, so that what it says is what a save would do. */
function prepare(call: RouteCall): Prepared {
  const { plane } = call.ports
  const now = plane.current()
  const { id: replaced, rule: sent = null } = call.body
  const id = typeof replaced === 'string' ? replaced.toLowerCase() : NEW_RULE
  if (typeof replaced === 'string' && !isThere(now, id)) throw notFound(`rule \`${id}\` not found`)
  if (sent === null && id === NEW_RULE) throw invalidField('/id', '`id` is missing: which rule would be deleted?')
  const body = sent === null ? undefined : (sent as JsonObject)
  const problems = body === undefined ? [] : problemsOf(now, id, body)
  if (problems.some(({ severity }) => severity === 'error')) return { id, problems }
  const after = snapshotWith(plane, id, body)
  return 'ruleset' in after ? { id, problems, after } : { id, problems: [...problems, after] }
}

/** The whole difference, for every connection there can be. */
async function difference(call: RouteCall): Promise<ApiResponse> {
  const { problems, after } = prepare(call)
  if (after === undefined) return ok({ problems, difference: null })
  const now = call.ports.plane.current()
  const world: World = {
    people: [],
    groups: [],
    devices: [],
    networks: after.account.virtualNetworks.map(({ id }) => id),
    endpoints: call.ports.listeners().flatMap(({ endpoint }) => endpoint?.host ?? []),
    destinations: [],
    isClosed: false,
  }
  const timeoutMs = 1000 * (typeof call.body.seconds === 'number' ? call.body.seconds : 10)
  const { compareSubjects, comparisonJson } = await import('../../prove/compare.ts')
  try {
    const [before, then] = [{ snapshot: now, world } as const, { snapshot: after, world } as const]
    const compared = await compareSubjects(before, then, { timeoutMs, inPlace: false })
    return ok({ problems, difference: comparisonJson(compared) })
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    const own = thrown.issues.map(({ code, message, hint }) => ({ ...asError(code, message), hint: hint ?? null }))
    return ok({ problems: [...problems, ...own], difference: null })
  }
}

function preview(call: RouteCall): ApiResponse {
  const { id, problems, after } = prepare(call)
  if (after === undefined) return ok({ problems, replay: null })
  const wanted = typeof call.body.sessions === 'number' ? call.body.sessions : MOST_SESSIONS
  const advice = adviceOn(after, id).filter(({ code }) => !isToldBy(problems, code))
  return ok({ problems: [...problems, ...advice], replay: replay(call, after, wanted) })
}

function isThere({ state }: LabSnapshot, id: string): boolean {
  return state.rule.get(id)?.deletedAt === null
}

/** Everything wrong with the body at once: its shape, else what it says. */
function problemsOf({ account, ruleset, state }: LabSnapshot, id: string, body: JsonObject): RuleProblem[] {
  const misfits = shapeProblems(body)
  if (misfits.length > 0) return misfits
  const before = state.rule.get(id)
  const others = ruleset.rules.filter((other) => other.id !== id)
  const precedence = precedenceOf(body) ?? before?.value.precedence ?? nextPrecedence(others, 0)
  return checkRule(readRule(body, { id, precedence }), account, others).map(toProblem)
}

const checkShape = compileSchema(RULE_BODY)

function shapeProblems(body: JsonObject): RuleProblem[] {
  try {
    checkShape(body)
    return []
  } catch (thrown) {
    if (!(thrown instanceof ApiError)) throw thrown
    return thrown.problems.map(({ message }) => asError('rule.invalid', message))
  }
}

/** The state with the rule in it (or without it), or the one reason why it cannot be. */
function snapshotWith(plane: ControlPlane, id: string, body: JsonObject | undefined): LabSnapshot | RuleProblem {
  const mode = plane.current().account.settings.expressions
  try {
    return plane.preview((draft) => {
      if (body === undefined) draft.remove('rule', id)
      else draft.put('rule', ruleOf(draft, id, body, mode))
    })
  } catch (thrown) {
    if (thrown instanceof ChangeError) return asError(thrown.code, thrown.message)
    if (thrown instanceof ApiError) return asError('rule.invalid', thrown.message)
    throw thrown
  }
}

/** A missing fallback is both a problem of the rule and against good practice; it is said once. */
export function isToldBy(problems: readonly Pick<RuleProblem, 'code'>[], code: string): boolean {
  return code === 'practice.P2' && problems.some((problem) => problem.code === 'rule.no_fallback')
}

function asError(code: string, message: string): RuleProblem {
  return { severity: 'error', code, message, hint: null, field: null, span: null }
}

function adviceOn({ account, ruleset }: LabSnapshot, id: string): RuleProblem[] {
  const issues = checkPractices({ account, ruleset, users: [] }).filter(({ rule }) => rule?.id === id)
  return issues.map(({ severity, code, message, why, hint }) => {
    return { severity, code, message: `${message}: ${why}`, hint: hint ?? null, field: null, span: null }
  })
}

/** A finding about a rule as the API shows it; absent parts are null, `field` is the API's name of the expression. */
export function toProblem({ severity, code, message, hint, slot, problem }: RuleIssue): RuleProblem {
  return {
    severity,
    code,
    message,
    hint: hint ?? null,
    field: slot === undefined ? null : SLOT_NAMES[slot],
    span: problem?.span ?? null,
  }
}

function replay(call: RouteCall, after: LabSnapshot, wanted: number) {
  const now = call.ports.plane.current()
  const sessions = wanted === 0 ? [] : call.ports.diagnostics.finished().slice(-wanted)
  const changes = sessions.flatMap((session) => changeOf(session, now, after))
  const decided = sessions.filter((session) => session.decided !== undefined).length
  return { sessions: decided, changed: changes.length, changes: changes.slice(-MOST_SHOWN).toReversed() }
}

function changeOf({ record, decided }: RecentSession, now: LabSnapshot, after: LabSnapshot) {
  if (decided === undefined) return []
  const [before, then] = [outcomeOf(decide(now, decided.flow)), outcomeOf(decide(after, decided.flow))]
  if (before.egress === then.egress && before.rule === then.rule && before.outcome === then.outcome) return []
  return [{ id: record.SessionID, user: record.Email, target: record.Lab.target, before, after: then }]
}

function outcomeOf({ outcome, egress, rule, physicalColo }: Decision) {
  return {
    outcome,
    egress: egress?.address.text ?? null,
    rule: rule?.name ?? null,
    physical: physicalColo?.code ?? null,
  }
}
