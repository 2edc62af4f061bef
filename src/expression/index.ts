// The public interface of the expression language: everything other rooms may use.

export { compileExpression, compileNode, compilePartial, type PartialPredicate } from './compile/compile.ts'
export type { Predicate } from './compile/compile-comparison.ts'
export { type ValueTest, valueTestOf } from './compile/compile-comparison.ts'
export { type EvaluateRequest, type EvaluateResult, evaluateOne, parseRequest } from './evaluate-one.ts'
export { formatExpression, formatNode } from './format.ts'
export { type FromJsonResult, fromJson, type JsonValue, toJson } from './json.ts'
export { canonicalListName } from './lex/name.ts'
export { isBlank } from './lex/white-space.ts'
export { type KnownContents, listContents, listOfJson } from './list-contents.ts'
export { type ParseOptions, type ParseResult, parseExpression } from './parse.ts'
export { isUtf8 } from './parse-access.ts'
export { DEFAULT_LIMITS, type ExpressionLimits } from './parser.ts'
export {
  characterSpan,
  drawProblem,
  EXPRESSION_PROBLEMS,
  type ExpressionProblem,
  type ExpressionProblemCode,
  positionOf,
} from './problem.ts'
export { afterLead, type BackwardScan, backwardScan } from './regex/backward-scan.ts'
export type { Regex } from './regex/regex.ts'
export type { RegexShape } from './regex/shape.ts'
export { decisiveParts, type Trace, traceExpression } from './trace.ts'
export type * from './tree.ts'
export {
  bytesOf,
  createScheme,
  type Field,
  type FieldValues,
  formatType,
  intOf,
  type ListContents,
  type Lists,
  type ScalarType,
  type Scheme,
  type SchemeOptions,
  textOf,
  type Value,
  type ValueType,
} from './value.ts'
export { addNames, type ExpressionParts, partsOf, usesField, visitNodes } from './visit.ts'
export type { Wildcard } from './wildcard.ts'
