// The order in which rules can be changed one at a time: a precedence is never taken twice, and no rule goes before what
// replaces it is there. Where rules want each other's precedence, one steps aside first.

import type { PolicyStep, PortableRule } from './portable-policy.ts'
import { movedBody } from './rule-differences.ts'

/** Takes the steps of rules (creations and updates with the precedence they end at, deletions) and the target's rules. */
export function orderRules(steps: readonly PolicyStep[], there: readonly PortableRule[]): PolicyStep[] {
  const holder: Holders = new Map(
    there.flatMap((rule) => (rule.precedence === undefined ? [] : [[rule.precedence, rule]])),
  )
  const deletions = steps.filter(({ action }) => action === 'delete')
  const waiting = steps.filter(({ action }) => action !== 'delete')
  const wanted = new Set(waiting.map(({ precedence }) => precedence))
  const ordered: PolicyStep[] = []
  const place = (step: PolicyStep) => {
    const before = [...holder].find(([, rule]) => isAbout(step, rule))?.[0]
    if (before !== undefined) holder.delete(before)
    if (step.precedence !== undefined) holder.set(step.precedence, step)
    ordered.push(step)
  }
  while (waiting.length > 0) {
    const at = waiting.findIndex((step) => {
      const inTheWay = holder.get(step.precedence ?? -1)
      return inTheWay === undefined || isAbout(step, inTheWay)
    })
    const [next] = at < 0 ? [] : waiting.splice(at, 1)
    if (next !== undefined) {
      place(next)
      continue
    }
    const blocked = waiting[0]?.precedence ?? 0
    const inTheWay = there.find((rule) => isSame(holder.get(blocked), rule))
    if (inTheWay === undefined) throw new RangeError(`no precedence is free around ${blocked}`)
    place(stepAside(inTheWay, blocked, freeAbove(blocked, holder, wanted)))
  }
  return [...ordered, ...deletions]
}

type Holders = Map<number, Pick<PortableRule, 'id' | 'name'>>

/** Rules of an API have ids; those of a file that has none go by their names. */
function isSame(one: Pick<PortableRule, 'id' | 'name'> | undefined, other: Pick<PortableRule, 'id' | 'name'>): boolean {
  return one !== undefined && one.id === other.id && (one.id !== undefined || one.name === other.name)
}

function isAbout(step: PolicyStep, rule: Pick<PortableRule, 'id' | 'name'>): boolean {
  return step.action !== 'create' && isSame(step, rule)
}

/** The next one nobody has or wants: as near as can be, so that the rule keeps its place among the others. */
function freeAbove(
  from: number,
  holder: ReadonlyMap<number, unknown>,
  wanted: ReadonlySet<number | undefined>,
): number {
  let free = from + 1
  while (holder.has(free) || wanted.has(free)) free++
  return free
}

function stepAside(rule: PortableRule, from: number, to: number): PolicyStep {
  return {
    action: 'park',
    thing: 'rule',
    name: rule.name,
    ...(rule.id === undefined ? {} : { id: rule.id }),
    precedence: to,
    differences: [{ field: 'precedence', before: from, after: to }],
    body: movedBody(rule, to),
  }
}
