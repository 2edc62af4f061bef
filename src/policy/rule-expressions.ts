// Parses a rule's three expressions against the fields each may use and reports every problem in them. Evaluates
// nothing.

import type { Issue } from '../errors/issue.ts'
import {
  addNames,
  drawProblem,
  type Expression,
  type ExpressionProblem,
  isBlank,
  parseExpression,
} from '../expression/index.ts'
import type { AccountSettings } from './account.ts'
import { HOST_SELECTORS, SLOT_NAMES, SLOT_SCHEMES } from './fields.ts'
import { EXPRESSION_SLOTS, type ExpressionSlot, type Rule } from './rule.ts'

/** A problem of one rule; `slot` and `problem` if it is one of an expression. */
export interface RuleIssue extends Issue {
  readonly rule: Rule
  readonly slot?: ExpressionSlot
  readonly problem?: ExpressionProblem
}

/** One expression that is not empty. */
export interface SlotExpression {
  readonly slot: ExpressionSlot
  readonly expression: Expression
}

export interface ParsedRule {
  readonly rule: Rule
  /** in the order of the slots; an empty expression is true and omitted ([R1]) */
  readonly expressions: readonly SlotExpression[]
  /** errors and warnings; a rule with an error cannot be evaluated */
  readonly issues: readonly RuleIssue[]
  readonly fields: ReadonlySet<string>
  /** canonical names of the lists it uses */
  readonly lists: ReadonlySet<string>
}

/** Texts of one slot that are remembered with their trees. */
const REMEMBERED = 256

/** Parses rules; of a text that comes again soon, as those of one group's rules do, the same tree is given. */
export class RuleParser {
  readonly #mode: AccountSettings['expressions']
  readonly #known: Readonly<Record<ExpressionSlot, (SlotResult | undefined)[]>> = {
    traffic: new Array<SlotResult | undefined>(REMEMBERED).fill(undefined),
    identity: new Array<SlotResult | undefined>(REMEMBERED).fill(undefined),
    devicePosture: new Array<SlotResult | undefined>(REMEMBERED).fill(undefined),
  }

  constructor(mode: AccountSettings['expressions']) {
    this.#mode = mode
  }

  parse(rule: Rule): ParsedRule {
    const expressions: SlotExpression[] = []
    const issues: RuleIssue[] = []
    for (const slot of EXPRESSION_SLOTS) {
      const source = rule[slot]
      if (isBlank(source)) continue
      const result = this.#parseSlot(slot, source)
      for (const warning of result.warnings) issues.push(toIssue(rule, slot, warning, 'warning'))
      if (result.ok) expressions.push({ slot, expression: result.expression })
      else for (const problem of result.problems) issues.push(toIssue(rule, slot, problem, 'error'))
    }
    const fields = new Set<string>()
    const lists = new Set<string>()
    for (const { expression } of expressions) addNames(expression.root, fields, lists)
    return { rule, expressions, issues, fields, lists }
  }

  #parseSlot(slot: ExpressionSlot, source: string): ReturnType<typeof parseExpression> {
    const known = this.#known[slot]
    const place = placeOf(source)
    const before = known[place]
    if (before?.source === source) return before.result
    const result = parseExpression(source, SLOT_SCHEMES[slot], { mode: this.#mode })
    known[place] = { source, result }
    return result
  }
}

interface SlotResult {
  readonly source: string
  readonly result: ReturnType<typeof parseExpression>
}

/** Where a text is remembered: by its length and some characters of its second half, in which texts differ most. */
function placeOf(source: string): number {
  const { length } = source
  let hash = length
  for (let at = length >> 1; at < length; at += 1 + (length >> 5))
    hash = Math.imul(hash ^ source.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 15)) & (REMEMBERED - 1)
}

function toIssue(rule: Rule, slot: ExpressionSlot, problem: ExpressionProblem, severity: Issue['severity']): RuleIssue {
  return {
    severity,
    code: problem.code,
    message: `rule \`${rule.name}\`: ${problem.message} in its \`${SLOT_NAMES[slot]}\` expression`,
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    path: ['rules', rule.name, SLOT_NAMES[slot]],
    drawing: drawProblem(rule[slot], problem),
    rule,
    slot,
    problem,
  }
}

/** The host-selector fields a rule uses ([F2]), in the order it names them. */
export function hostSelectorsOf({ fields }: ParsedRule): readonly string[] {
  return [...fields].filter((field) => HOST_SELECTORS.has(field))
}
