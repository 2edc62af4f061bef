// The order in which rules can be changed one at a time: a precedence is never taken twice, and no rule goes before what
// replaces it is there. Where rules want each other's precedence, one steps aside first.

import type { PolicyStep, PortableRule } from './portable-policy.ts'
import { movedBody } from './rule-differences.ts'

/** Takes the steps of rules (creations and updates with the precedence they end at, deletions) and the target's rules. */
export function orderRules(steps: readonly PolicyStep[], there: readonly PortableRule[]): PolicyStep[] {
  const holder = new Map(there.flatMap(({ id, precedence }) => (precedence === undefined ? [] : [[precedence, id]])))
  const own = new Map(there.map((rule) => [rule.id, rule]))
  const deletions = steps.filter(({ action }) => action === 'delete')
  const waiting = steps.filter(({ action }) => action !== 'delete')
  const wanted = new Set(waiting.map(({ precedence }) => precedence))
  const ordered: PolicyStep[] = []
  const place = (step: PolicyStep) => {
    const before = [...holder].find(([, id]) => id !== undefined && id === step.id)?.[0]
    if (before !== undefined) holder.delete(before)
    if (step.precedence !== undefined) holder.set(step.precedence, step.id)
    ordered.push(step)
  }
  while (waiting.length > 0) {
    const at = waiting.findIndex(({ precedence = -1, id }) => !holder.has(precedence) || isOwn(holder, precedence, id))
    const [next] = at < 0 ? [] : waiting.splice(at, 1)
    if (next !== undefined) {
      place(next)
      continue
    }
    const blocked = waiting[0]?.precedence ?? 0
    const inTheWay = own.get(holder.get(blocked))
    if (inTheWay?.id === undefined) throw new RangeError(`no precedence is free around ${blocked}`)
    place(stepAside(inTheWay, inTheWay.id, blocked, freeAbove(blocked, holder, wanted)))
  }
  return [...ordered, ...deletions]
}

function isOwn(holder: ReadonlyMap<number, string | undefined>, precedence: number, id: string | undefined): boolean {
  return id !== undefined && holder.get(precedence) === id
}

/** The next one nobody has or wants: as near as can be, so that the rule keeps its place among the others. */
function freeAbove(
  from: number,
  holder: ReadonlyMap<number, string | undefined>,
  wanted: ReadonlySet<number | undefined>,
): number {
  let free = from + 1
  while (holder.has(free) || wanted.has(free)) free++
  return free
}

function stepAside(rule: PortableRule, id: string, from: number, to: number): PolicyStep {
  return {
    action: 'park',
    thing: 'rule',
    name: rule.name,
    id,
    precedence: to,
    differences: [{ field: 'precedence', before: from, after: to }],
    body: movedBody(rule, to),
  }
}
