// Which egress address is realised by which exit.

import type { ConfiguredExit } from '../config/lab-config.ts'
import type { Egress } from '../policy/decision.ts'

export type ExitOf = (egress: Egress) => ConfiguredExit | undefined

/** Looks exits up by the dedicated address or range an egress belongs to, or by its being shared. */
export function createExitTable(exits: readonly ConfiguredExit[]): ExitOf {
  if (exits.length === 0) return () => undefined
  const byAddress = new Map(exits.flatMap((exit) => exit.realises.map((text) => [text, exit] as const)))
  return ({ dedicated, family }) => {
    if (dedicated === undefined) return byAddress.get('shared')
    return byAddress.get((family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text) ?? '')
  }
}
