// What `check` has to say about the rules in force, for showing beside them.

import { checkPractices } from '../../analysis/best-practices.ts'
import { checkRule } from '../../policy/rule-check.ts'
import { listOf } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { CHECK } from '../shapes/lab.ts'
import { toProblem } from './rule-preview.ts'

export const CHECK_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/lab/v1/checks',
    summary: 'problems and best-practice advice for the rules in force, each with its rule',
    access: 'token',
    answers: { kind: 'list', schema: CHECK },
    handle: checks,
  },
]

function checks({ ports }: RouteCall) {
  const { account, ruleset } = ports.plane.current()
  const ofRules = ruleset.rules.flatMap((rule) => {
    const others = ruleset.rules.filter((other) => other !== rule)
    return checkRule(rule, account, others).map((issue) => ({ rule: rule.id, why: null, ...toProblem(issue) }))
  })
  const practices = checkPractices({ account, ruleset, users: ports.users(), vocabulary: ports.vocabulary?.() })
  const told = new Set(ofRules.filter(({ code }) => code === 'rule.no_fallback').map(({ rule }) => rule))
  const advice = practices
    .filter(({ code, rule }) => !(code === 'practice.P2' && rule !== undefined && told.has(rule.id)))
    .map(({ severity, code, message, why, hint, rule }) => {
      return { rule: rule?.id ?? null, why, severity, code, message, hint: hint ?? null, field: null, span: null }
    })
  return listOf([...ofRules, ...advice])
}
