// Rules that would have matched but for one part: usually the one somebody meant. Reads traces; evaluates nothing.

import type { Trace } from '../expression/index.ts'

/** The parts of a false expression of which any one, turned around, would make it true. */
export function singleObstacles(trace: Trace): readonly Trace[] {
  return obstacles(trace, true)
}

/** Parts that each alone bring the trace to `wanted`, which it is not. */
function obstacles(trace: Trace, wanted: boolean): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  if (trace.kind === 'chain') return chainObstacles(trace, wanted)
  const [child] = trace.children
  if (child === undefined) return []
  return obstacles(child, trace.kind === 'not' ? !wanted : wanted)
}

function chainObstacles({ op, children }: Trace, wanted: boolean): readonly Trace[] {
  if (op === 'xor') return children.flatMap((child) => obstacles(child, !child.result))
  // an `and` wants all of its items, a false `or` wants none: then only a lone obstacle can be turned around
  const needsAll = (op === 'and') === wanted
  const standing = children.filter((child) => child.result !== wanted)
  if (needsAll && standing.length !== 1) return []
  return standing.flatMap((child) => obstacles(child, wanted))
}

/** Every comparison outside quantifiers and every quantifier: the parts a reader looks at. */
export function leavesOf(trace: Trace): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  return trace.children.flatMap(leavesOf)
}

/** What the part looked at: its own value, or that of the first comparison in it. */
export function comparisonOf(trace: Trace): Trace | undefined {
  if (trace.kind === 'comparison') return trace
  for (const child of trace.children) {
    const found = comparisonOf(child)
    if (found !== undefined) return found
  }
  return undefined
}
