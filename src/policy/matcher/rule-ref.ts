// A rule as the index hands it around: its position, and whether being found there and passed by the guards is proof enough that it
// matches. One integer, so that thousands of them lie side by side.

export type RuleRef = number

/** Of a rule below 2^30. Tickets are in the order of positions. */
export function ruleRefOf(position: number, isProof: boolean): RuleRef {
  return position * 2 + (isProof ? 1 : 0)
}

export function positionOf(ticket: RuleRef): number {
  return ticket >> 1
}

export function isProof(ticket: RuleRef): boolean {
  return (ticket & 1) === 1
}
