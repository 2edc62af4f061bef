// A rule as the index hands it around: its position, and whether being found there and passed by the guards is proof enough that it
// matches. One integer, so that thousands of them lie side by side.

export type Ticket = number

/** Of a rule below 2^30. Tickets are in the order of positions. */
export function ticketOf(position: number, isProof: boolean): Ticket {
  return position * 2 + (isProof ? 1 : 0)
}

export function positionOf(ticket: Ticket): number {
  return ticket >> 1
}

export function isProof(ticket: Ticket): boolean {
  return (ticket & 1) === 1
}
