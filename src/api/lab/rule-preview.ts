// A rule before it is saved: everything wrong with it, where exactly, and what the last sessions would have become. Nothing
// is changed.

import type { JsonObject, LabSnapshot } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { checkPractices } from '../../policy/check.ts'
import { decide } from '../../policy/decide.ts'
import type { Decision } from '../../policy/decision.ts'
import { SLOT_NAMES } from '../../policy/fields.ts'
import type { Rule } from '../../policy/rule.ts'
import { checkRule } from '../../policy/rule-check.ts'
import type { RuleIssue } from '../../policy/rule-expressions.ts'
import type { RememberedSession } from '../../proxy/session-memory.ts'
import { type Answer, ok } from '../answer.ts'
import { ApiError } from '../api-error.ts'
import { toRuleDocument } from '../cloudflare/rule-document.ts'
import type { Call, Route } from '../route.ts'

const MOST_SESSIONS = 5000
const MOST_SHOWN = 50
const NEW_RULE = 'new'

export const RULE_PREVIEW_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/lab/v1/rules/preview',
    summary: 'what is wrong with a rule before it is saved, and what the last sessions would change to',
    access: 'token',
    looksAtTraffic: true,
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['rule'],
      properties: {
        id: {
          type: ['string', 'null'],
          maxLength: 64,
          description: 'the rule to replace or delete; null for a new one',
        },
        rule: { type: ['object', 'null'] },
        sessions: { type: 'integer', minimum: 0, maximum: MOST_SESSIONS, description: 'how many to try it on' },
      },
    },
    handle: preview,
  },
]

interface Problem {
  readonly severity: 'error' | 'warning' | 'advice'
  readonly code: string
  readonly message: string
  readonly hint: string | null
  /** Cloudflare's name of the expression, where it is about one */
  readonly field: string | null
  /** half-open, in characters of that expression */
  readonly span: readonly [number, number] | null
}

function preview(call: Call): Answer {
  const id = typeof call.body.id === 'string' ? call.body.id.toLowerCase() : NEW_RULE
  const words = call.body.rule
  const rule = words === null ? undefined : (words as JsonObject)
  const problems = rule === undefined ? [] : problemsOf(call, id, rule)
  if (problems.some(({ severity }) => severity === 'error')) return ok({ problems, replay: null })
  const after = snapshotWith(call, id, rule)
  if (!('ruleset' in after)) return ok({ problems: [...problems, after], replay: null })
  const wanted = typeof call.body.sessions === 'number' ? call.body.sessions : MOST_SESSIONS
  return ok({ problems: [...problems, ...adviceOn(after, id)], replay: replay(call, after, wanted) })
}

function problemsOf(call: Call, id: string, words: JsonObject): Problem[] {
  const { account, ruleset } = call.ports.plane.current()
  const others = ruleset.rules.filter((other) => other.id !== id)
  return checkRule(asRule(call, id, words), account, others).map(toProblem)
}

/** The words as a rule, whatever they are worth. */
function asRule(call: Call, id: string, words: JsonObject): Rule {
  const text = (name: string) => (typeof words[name] === 'string' ? words[name] : '')
  const settings = words.rule_settings as
    | { egress?: { ipv4?: string; ipv4_fallback?: string; ipv6?: string } }
    | null
    | undefined
  const { ipv4 = '', ipv4_fallback: fallback, ipv6 = '' } = settings?.egress ?? {}
  return {
    id,
    name: text('name'),
    description: text('description'),
    enabled: words.enabled === true,
    precedence: typeof words.precedence === 'number' ? words.precedence : freePrecedence(call),
    action: 'egress',
    filters: ['egress'],
    traffic: text('traffic'),
    identity: text('identity'),
    devicePosture: text('device_posture'),
    egress:
      ipv4 === '' && ipv6 === ''
        ? null
        : { ipv4, ipv4Fallback: fallback === undefined || fallback === '' ? null : fallback, ipv6 },
  }
}

function freePrecedence(call: Call): number {
  return Math.max(0, ...call.ports.plane.current().ruleset.rules.map(({ precedence }) => precedence)) + 1000
}

/** The state with the rule in it (or without it), or the one reason why it cannot be. */
function snapshotWith(call: Call, id: string, rule: JsonObject | undefined): LabSnapshot | Problem {
  const { plane } = call.ports
  const mode = plane.current().account.settings.expressions
  const precedence = typeof rule?.precedence === 'number' ? rule.precedence : freePrecedence(call)
  try {
    return plane.preview((draft) => {
      if (rule === undefined) draft.remove('rule', id)
      else draft.put('rule', toRuleDocument({ ...rule, action: 'egress' }, { id, precedence, mode }))
    })
  } catch (thrown) {
    if (thrown instanceof ChangeError) return asError(thrown.code, thrown.message)
    if (thrown instanceof ApiError) return asError('rule.invalid', thrown.message)
    throw thrown
  }
}

function asError(code: string, message: string): Problem {
  return { severity: 'error', code, message, hint: null, field: null, span: null }
}

function adviceOn({ account, ruleset }: LabSnapshot, id: string): Problem[] {
  const issues = checkPractices({ account, ruleset, users: [] }).filter(({ rule }) => rule?.id === id)
  return issues.map(({ severity, code, message, why, hint }) => {
    return { severity, code, message: `${message}: ${why}`, hint: hint ?? null, field: null, span: null }
  })
}

export function toProblem({ severity, code, message, hint, slot, span }: RuleIssue): Problem {
  return {
    severity,
    code,
    message,
    hint: hint ?? null,
    field: slot === undefined ? null : SLOT_NAMES[slot],
    span: span ?? null,
  }
}

function replay(call: Call, after: LabSnapshot, wanted: number) {
  const now = call.ports.plane.current()
  const sessions = call.ports.insight.finished().slice(-wanted)
  const changes = sessions.flatMap((session) => changeOf(session, now, after))
  const decided = sessions.filter((session) => session.decided !== undefined).length
  return { sessions: decided, changed: changes.length, changes: changes.slice(-MOST_SHOWN).toReversed() }
}

function changeOf({ record, decided }: RememberedSession, now: LabSnapshot, after: LabSnapshot) {
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
