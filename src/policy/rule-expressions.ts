// Parses a rule's three expressions against the fields each may use and reports every problem in them. Evaluates
// nothing.

import type { Issue } from '../errors/issue.ts'
import {
  drawProblem,
  type Expression,
  type ExpressionProblem,
  isBlank,
  parseExpression,
  partsOf,
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

/** Parses rules; the same text in the same slot is parsed once. */
export class RuleParser {
  readonly #mode: AccountSettings['expressions']
  readonly #known = new Map<string, ReturnType<typeof parseExpression>>()

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
    const parts = expressions.map(({ expression }) => partsOf(expression))
    return {
      rule,
      expressions,
      issues,
      fields: new Set(parts.flatMap(({ fields }) => [...fields])),
      lists: new Set(parts.flatMap(({ lists }) => [...lists])),
    }
  }

  #parseSlot(slot: ExpressionSlot, source: string): ReturnType<typeof parseExpression> {
    const key = `${slot} ${source}`
    const before = this.#known.get(key)
    if (before !== undefined) return before
    const result = parseExpression(source, SLOT_SCHEMES[slot], { mode: this.#mode })
    this.#known.set(key, result)
    return result
  }
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
