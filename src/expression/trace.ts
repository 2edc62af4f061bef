// Evaluates an expression with a trace. Slower than the compiled form: every part is evaluated, so that readers see
// each part's result. The overall result is the same.

import { combineRows } from './compile/compile.ts'
import { readerOf, valueTestOf, visitEach } from './compile/compile-comparison.ts'
import { formatNode } from './format.ts'
import { type JsonValue, toJson } from './json.ts'
import { characterSpan } from './problem.ts'
import type { Access, Chain, Comparison, Expression, Node, Quantifier, Span } from './tree.ts'
import type { FieldValues, Lists, Value } from './value.ts'

/** The result of one part of an expression. */
export interface Trace {
  readonly kind: Node['kind']
  /** the part as written */
  readonly text: string
  /** half-open, in characters of the source */
  readonly span: Span
  /** for a part of type Array(Bool): the result of the quantifier applied to this part alone */
  readonly result: boolean
  /** for a part of type Array(Bool): one boolean per position */
  readonly positions?: readonly boolean[]
  /** for a comparison: the field and its value (`undefined`: missing) */
  readonly field?: string
  readonly value?: JsonValue | undefined
  /** for a chain: `and`, `or`, `xor`; for a quantifier: `any`, `all` */
  readonly op?: string
  readonly children: readonly Trace[]
}

/** Compiles an expression for evaluation with a trace. */
export function traceExpression(expression: Expression): (values: FieldValues, lists: Lists) => Trace {
  const tracer = compileTracer(expression, expression.root, 'any')
  return (values, lists) => tracer(values, lists)
}

/** The smallest parts that determined the result: the false items of a false `and`, the true ones of a true `or`,
 *  and so on down to comparisons and quantifiers. */
export function decisiveParts(trace: Trace): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  const decides = (child: Trace) => trace.kind !== 'chain' || trace.op === 'xor' || child.result === trace.result
  return trace.children.filter(decides).flatMap(decisiveParts)
}

type Tracer = (values: FieldValues, lists: Lists) => Trace
type Reduction = 'any' | 'all'

function compileTracer(expression: Expression, node: Node, reduction: Reduction): Tracer {
  const head = { kind: node.kind, ...textAndSpan(expression, node) }
  switch (node.kind) {
    case 'comparison':
      return comparisonTracer(expression, node, head, reduction)
    case 'quantifier':
      return quantifierTracer(expression, node, head)
    case 'chain':
      return chainTracer(expression, node, head, reduction)
    case 'group':
    case 'not': {
      const item = compileTracer(expression, node.item, reduction)
      const flip = node.kind === 'not'
      return (values, lists) => {
        const child = item(values, lists)
        if (child.positions === undefined) return { ...head, result: child.result !== flip, children: [child] }
        const positions = child.positions.map((flag) => flag !== flip)
        return { ...head, result: reduce(positions, reduction), positions, children: [child] }
      }
    }
  }
}

type Head = Pick<Trace, 'kind' | 'text' | 'span'>

function textAndSpan(expression: Expression, node: Node): Pick<Trace, 'text' | 'span'> {
  const isRewritten = node.kind === 'quantifier' && node.implied
  const text = isRewritten ? formatNode(node) : expression.source.slice(...node.span)
  return { text, span: characterSpan(expression.source, node.span) }
}

function reduce(positions: readonly boolean[], reduction: Reduction): boolean {
  return reduction === 'any' ? positions.includes(true) : !positions.includes(false)
}

function chainTracer(expression: Expression, node: Chain, head: Head, reduction: Reduction): Tracer {
  const items = node.items.map((item) => compileTracer(expression, item, reduction))
  const { op } = node
  return (values, lists) => {
    const children = items.map((item) => item(values, lists))
    if (node.type === 'Bool') {
      const [result] = combineRows(
        op,
        children.map((child) => [child.result]),
      )
      return { ...head, op, result: result === true, children }
    }
    const positions = combineRows(
      op,
      children.map((child) => child.positions ?? []),
    )
    return { ...head, op, result: reduce(positions, reduction), positions, children }
  }
}

function quantifierTracer(expression: Expression, node: Quantifier, head: Head): Tracer {
  const { op, item } = node
  const tracer = compileTracer(expression, item, op)
  const isBare = item.kind === 'comparison' && item.test.kind === 'truth' && !item.access.mapped
  return (values, lists) => {
    const child = tracer(values, lists)
    const isMissing = isBare && child.value === undefined
    return { ...head, op, result: !isMissing && child.result, children: [child] }
  }
}

function comparisonTracer(expression: Expression, node: Comparison, head: Head, reduction: Reduction): Tracer {
  const { access, test } = node
  const passes = valueTestOf(test)
  const field = access.field.name
  const read = readerOf(withoutEach(access))
  if (node.type === 'Bool') {
    const whenMissing = test.kind === 'order' && test.op === '!=' && expression.scheme.missingNotEqual
    return (values, lists) => {
      const found = read(values)
      const result = found === undefined ? whenMissing : passes(found, lists)
      return { ...head, result, field, value: jsonOf(found), children: [] }
    }
  }
  return (values, lists) => {
    const found = read(values)
    const positions = access.mapped ? passEach(access, values, (item) => passes(item, lists)) : (found ?? [])
    const flags = positions as readonly boolean[]
    return { ...head, result: reduce(flags, reduction), positions: flags, field, value: jsonOf(found), children: [] }
  }
}

function passEach(access: Access, values: FieldValues, passes: (value: Value) => boolean): readonly boolean[] {
  const flags: boolean[] = []
  visitEach(access, values, (value) => {
    flags.push(passes(value))
    return false
  })
  return flags
}

/** The access up to its first `[*]`: what is shown as the value. */
function withoutEach(access: Access): Access {
  const first = access.indexes.findIndex((index) => index.kind === 'each' || index.kind === 'pairs')
  return first < 0 ? access : { ...access, indexes: access.indexes.slice(0, first) }
}

function jsonOf(value: Value | undefined): JsonValue | undefined {
  return value === undefined ? undefined : toJson(value)
}
