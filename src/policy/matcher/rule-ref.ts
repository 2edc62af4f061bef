// A rule within the index: its position, and whether being found there and admitted by the prefilter proves that it
// matches. One integer, so that thousands lie side by side.

/** Position and proof mark in one integer, made by {@link ruleRefOf}. */
export type RuleRef = number

/** For a position below 2^30. References sort by position. */
export function ruleRefOf(position: number, isProof: boolean): RuleRef {
  return position * 2 + (isProof ? 1 : 0)
}

/** The position of the rule in order of precedence, from 0. */
export function positionOf(ref: RuleRef): number {
  return ref >> 1
}

/** Whether a flow that reaches this reference and is admitted by the prefilter matches without evaluation. */
export function isProof(ref: RuleRef): boolean {
  return (ref & 1) === 1
}
