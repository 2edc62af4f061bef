// Finds rules that would have matched but for one part, usually the rule that was meant. Reads traces; evaluates
// nothing.

import type { Trace } from '../expression/index.ts'

/** The parts of a false expression of which any single one, inverted, would make it true. */
export function singleObstacles(trace: Trace): readonly Trace[] {
  return obstacles(trace, true)
}

/** Parts each of which alone would change the trace's result to `wanted`. */
function obstacles(trace: Trace, wanted: boolean): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  if (trace.kind === 'chain') return chainObstacles(trace, wanted)
  const [child] = trace.children
  if (child === undefined) return []
  return obstacles(child, trace.kind === 'not' ? !wanted : wanted)
}

function chainObstacles({ op, children }: Trace, wanted: boolean): readonly Trace[] {
  if (op === 'xor') return children.flatMap((child) => obstacles(child, !child.result))
  // a true `and` needs all of its items true, a false `or` all of them false: then only a single obstacle can be
  // inverted
  const needsAll = (op === 'and') === wanted
  const standing = children.filter((child) => child.result !== wanted)
  if (needsAll && standing.length !== 1) return []
  return standing.flatMap((child) => obstacles(child, wanted))
}

/** Every comparison outside quantifiers and every quantifier: the parts shown to readers. */
export function leavesOf(trace: Trace): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  return trace.children.flatMap(leavesOf)
}

/** The comparison whose value a part shows: itself, or the first one in it. */
export function comparisonOf(trace: Trace): Trace | undefined {
  if (trace.kind === 'comparison') return trace
  for (const child of trace.children) {
    const found = comparisonOf(child)
    if (found !== undefined) return found
  }
  return undefined
}
