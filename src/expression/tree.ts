// The syntax tree of an expression, made by the parser and read by everything else. Immutable data; spans are half-open
// offsets in UTF-16 code units of the source, so that `source.slice(...span)` is the text.

import type { Ip } from '../net/ip.ts'
import type { Regex } from './regex/regex.ts'
import type { Field, Scheme, ValueType } from './value.ts'
import type { Wildcard } from './wildcard.ts'

export type Span = readonly [start: number, end: number]

/** How strictly wirefilter's grammar is applied: `engine` to the letter, `default` with what Gateway is known to
 *  accept, `lenient` with every documented spelling ([R11]). */
export type Mode = 'engine' | 'default' | 'lenient'

/** A valid filter: it has type Bool. */
export interface Expression {
  readonly source: string
  readonly scheme: Scheme
  readonly mode: Mode
  readonly root: Node
}

/** The static type of a node; `Bools` is Array(Bool), legal only inside a quantifier. */
export type ResultType = 'Bool' | 'Bools'

export type Node = Chain | Negation | Group | Quantifier | Comparison

/** Two or more operands of one operator, flat. All items are of the chain's type. */
export interface Chain {
  readonly kind: 'chain'
  readonly op: LogicalOperator
  readonly items: readonly Node[]
  readonly type: ResultType
  readonly span: Span
}

export type LogicalOperator = 'or' | 'xor' | 'and'

export interface Negation {
  readonly kind: 'not'
  readonly item: Node
  readonly type: ResultType
  readonly span: Span
}

/** Parentheses as written: without effect, kept in the normal form. */
export interface Group {
  readonly kind: 'group'
  readonly item: Node
  readonly type: ResultType
  readonly span: Span
}

/** `any( … )` or `all( … )` over an item of type Bools. `implied`: supplied for a lenient spelling without one. */
export interface Quantifier {
  readonly kind: 'quantifier'
  readonly op: 'any' | 'all'
  readonly item: Node
  readonly type: 'Bool'
  readonly implied: boolean
  readonly span: Span
}

/** One access and its test. `Bools` when the access maps or is an Array(Bool). */
export interface Comparison {
  readonly kind: 'comparison'
  readonly access: Access
  readonly test: Test
  readonly type: ResultType
  readonly span: Span
}

/** A field followed by indexes. `valueType` is the type after all of them; `mapped` says whether one is `[*]`;
 *  `text` is its normal form. */
export interface Access {
  readonly field: Field
  readonly indexes: readonly Index[]
  readonly valueType: ValueType
  readonly mapped: boolean
  readonly text: string
  readonly span: Span
}

/** `each` on a scalar (lenient [C5]) visits that one value; `pairs` ([C6]) views a map of arrays as `key=value`. */
export type Index =
  | { readonly kind: 'element'; readonly at: number }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'each' }
  | { readonly kind: 'pairs' }

export type OrderOperator = '==' | '!=' | '<' | '<=' | '>' | '>='

/** The test of a comparison. Bytes are one code unit per byte. */
export type Test =
  | { readonly kind: 'truth' }
  | { readonly kind: 'order'; readonly op: OrderOperator; readonly literal: Literal }
  | { readonly kind: 'in-set'; readonly set: LiteralSet }
  | { readonly kind: 'in-list'; readonly list: ListName }
  | { readonly kind: 'bits'; readonly mask: IntLiteral }
  | { readonly kind: 'contains'; readonly literal: BytesLiteral }
  | { readonly kind: 'matches'; readonly regex: Regex; readonly text: string; readonly span: Span }
  | { readonly kind: 'wildcard'; readonly strict: boolean; readonly pattern: Wildcard; readonly text: string }

/** `text` of every literal is its normal form. */
export interface IntLiteral {
  readonly type: 'Int'
  readonly value: number | bigint
  readonly text: string
}

export interface BytesLiteral {
  readonly type: 'Bytes'
  readonly value: string
  readonly text: string
}

export interface IpLiteral {
  readonly type: 'Ip'
  readonly value: Ip
  readonly text: string
}

export type Literal = IntLiteral | BytesLiteral | IpLiteral

/** Ranges include both ends; a single value or address is a range of one. */
export interface IntMember {
  readonly first: number | bigint
  readonly last: number | bigint
  readonly text: string
}

export interface IpMember {
  readonly first: Ip
  readonly last: Ip
  /** set when the member is a prefix (or a single address): bits of the network */
  readonly prefixLength?: number
  readonly text: string
}

export type LiteralSet =
  | { readonly type: 'Int'; readonly members: readonly IntMember[] }
  | { readonly type: 'Ip'; readonly members: readonly IpMember[] }
  | { readonly type: 'Bytes'; readonly members: readonly BytesLiteral[] }

/** `name` is the canonical key of {@link Lists}, `text` the name as written after the `$`. */
export interface ListName {
  readonly name: string
  readonly text: string
}
