// Changes of rules in Cloudflare's own API: whole replacements, one precedence at a time, and never over somebody else's change.

import { ApiFailure, ask, lastRevision } from '../api/request.ts'
import type { Rule } from '../api/shapes.ts'

/** What a person edits of a rule. */
export type RuleDraft = Pick<
  Rule,
  'name' | 'description' | 'enabled' | 'precedence' | 'traffic' | 'identity' | 'device_posture' | 'rule_settings'
>

/** The rule in the words of a replacement. */
export function replacementOf(rule: RuleDraft & Partial<Pick<Rule, 'schedule' | 'expiration'>>): object {
  const { schedule, expiration } = rule
  return {
    name: rule.name,
    description: rule.description,
    action: 'egress',
    filters: ['egress'],
    enabled: rule.enabled,
    precedence: rule.precedence,
    traffic: rule.traffic,
    identity: rule.identity,
    device_posture: rule.device_posture,
    rule_settings: rule.rule_settings ?? {},
    ...(schedule === null || schedule === undefined ? {} : { schedule }),
    ...(expiration === null || expiration === undefined ? {} : { expiration }),
  }
}

/** `account`: the path of the account. */
export function rulesPath(account: string): string {
  return `${account}/gateway/rules`
}

/** Replaces a rule unless it changed since `rule` was read. Throws ApiFailure. */
export async function replaceRule(path: string, rule: Rule, draft: RuleDraft): Promise<void> {
  const now = await ask<Rule>('GET', `${path}/${rule.id}`)
  const revision = lastRevision
  if (now.version !== rule.version) {
    throw new ApiFailure(412, [
      { code: 0, message: `\`${now.name}\` has changed in the meantime; close this form and open it again` },
    ])
  }
  const { schedule, expiration } = rule
  await ask('PUT', `${path}/${rule.id}`, {
    body: replacementOf({ ...draft, schedule, expiration }),
    ifMatch: `"${revision}"`,
  })
}

/** Puts a rule before or behind its neighbour. Between two precedences there is mostly room for another; where there is none the
 *  two are swapped by way of a free one, as precedences are unique at every moment. Throws ApiFailure. */
export async function moveRule(path: string, ordered: readonly Rule[], rule: Rule, step: -1 | 1): Promise<void> {
  const at = ordered.findIndex(({ id }) => id === rule.id)
  const neighbour = ordered[at + step]
  if (neighbour === undefined) return
  const beyond = ordered[at + 2 * step]
  const between = precedenceBetween(neighbour.precedence, beyond?.precedence, step)
  if (between !== undefined) {
    await replaceRule(path, rule, { ...rule, precedence: between })
    return
  }
  const free = Math.max(...ordered.map(({ precedence }) => precedence)) + 1
  await replaceRule(path, rule, { ...rule, precedence: free })
  await replaceRule(path, neighbour, { ...neighbour, precedence: rule.precedence })
  const moved = await ask<Rule>('GET', `${path}/${rule.id}`)
  await replaceRule(path, moved, { ...moved, precedence: neighbour.precedence })
}

/** Puts a rule right before another, or behind all where there is none. Where the numbers leave no room it goes there step by step.
 *  `ordered`: all egress rules in order. Throws ApiFailure. */
export async function moveRuleBefore(
  path: string,
  ordered: readonly Rule[],
  rule: Rule,
  before: Rule | undefined,
): Promise<void> {
  const others = ordered.filter(({ id }) => id !== rule.id)
  const found = before === undefined ? -1 : others.findIndex(({ id }) => id === before.id)
  const to = found < 0 ? others.length : found
  const [previous, next] = [others[to - 1], others[to]]
  const free =
    next === undefined
      ? (previous?.precedence ?? 0) + 1000
      : precedenceBetween(next.precedence, previous?.precedence, -1)
  if (free !== undefined) {
    await replaceRule(path, rule, { ...rule, precedence: free })
    return
  }
  for (;;) {
    const now = await egressRules(path)
    const at = now.findIndex(({ id }) => id === rule.id)
    const moving = now[at]
    if (moving === undefined || at === to) return
    await moveRule(path, now, moving, at < to ? 1 : -1)
  }
}

async function egressRules(path: string): Promise<Rule[]> {
  return inOrder(await ask<Rule[]>('GET', path))
}

/** The egress rules among these, first asked first. */
export function inOrder(rules: readonly Rule[]): Rule[] {
  return rules.filter(({ filters }) => filters.includes('egress')).sort((a, b) => a.precedence - b.precedence)
}

/** A free number on the far side of a neighbour; undefined where there is none. */
export function precedenceBetween(neighbour: number, beyond: number | undefined, step: -1 | 1): number | undefined {
  if (step > 0 && beyond === undefined) return neighbour + 1000
  const far = beyond ?? -1
  const middle = step > 0 ? Math.floor((neighbour + far) / 2) : Math.ceil((neighbour + far) / 2)
  const fits = step > 0 ? middle > neighbour && middle < far : middle < neighbour && middle > far
  return fits ? middle : undefined
}
