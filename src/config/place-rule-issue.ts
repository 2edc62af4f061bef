// Finds the place in the file of a problem in a rule: the policy knows an offset in an expression, the loader the start
// of the expression.

import type { Issue } from '../errors/issue.ts'
import { positionOf, type Span } from '../expression/index.ts'
import type { ExpressionSlot } from '../policy/rule.ts'
import type { ConfiguredRule, SourcePosition } from './lab-config.ts'

interface PlacelessIssue extends Issue {
  readonly slot?: ExpressionSlot
  readonly span?: Span
}

/** The same issue with file, line and column: of the span if the expression's start is known, else of the rule.
 *  `file` is the configuration's; rules of another file name theirs. */
export function placeRuleIssue(issue: PlacelessIssue, rule: ConfiguredRule, file: string): Issue {
  const { slot, span, ...bare } = issue
  const start = slot === undefined ? undefined : rule.expressionPositions[slot]
  if (slot === undefined || span === undefined || start === undefined) return { ...bare, ...at(rule.position, file) }
  return { ...bare, ...at(advance(start, rule[slot], span[0]), file) }
}

/** The position `offset` characters after the start of a text. Further lines of a block scalar keep its indentation. */
export function advance(start: SourcePosition, text: string, offset: number): SourcePosition {
  const { line, column } = positionOf(text, offset)
  return { ...start, line: start.line + line - 1, column: start.column + column - 1 }
}

function at(position: SourcePosition, file: string): Required<SourcePosition> {
  return { file: position.file ?? file, line: position.line, column: position.column }
}
