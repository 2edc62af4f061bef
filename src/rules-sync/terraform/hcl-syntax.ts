// The syntax of HCL as data: bodies of attributes and blocks, and expressions. Made by the parser, read by the evaluator.

import type { HclPlace } from './hcl-values.ts'

export interface HclBody {
  readonly attributes: ReadonlyMap<string, HclExpression>
  readonly blocks: readonly HclBlock[]
}

export interface HclBlock {
  /** `resource`, `locals`, `rule_settings` … */
  readonly type: string
  readonly labels: readonly string[]
  readonly body: HclBody
  readonly at: HclPlace
}

export type HclExpression = { readonly at: HclPlace } & (
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'template'; readonly parts: readonly TemplatePart[] }
  | { readonly kind: 'tuple'; readonly items: readonly HclExpression[] }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [HclExpression, HclExpression])[] }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'access'; readonly of: HclExpression; readonly step: AccessStep }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly HclExpression[]; readonly expands: boolean }
  | ({ readonly kind: 'for'; readonly result: HclExpression; readonly condition?: HclExpression } & ForIntro & ForKey)
  | {
      readonly kind: 'conditional'
      readonly condition: HclExpression
      readonly yes: HclExpression
      readonly no: HclExpression
    }
  | { readonly kind: 'unary'; readonly operator: string; readonly item: HclExpression }
  | {
      readonly kind: 'binary'
      readonly operator: string
      readonly left: HclExpression
      readonly right: HclExpression
    }
)

/** `.name`, `[key]`, and `[*]` with the steps taken from each element. */
export type AccessStep =
  | { readonly kind: 'attribute'; readonly name: string }
  | { readonly kind: 'index'; readonly key: HclExpression }
  | { readonly kind: 'splat'; readonly steps: readonly AccessStep[] }

/** `for key, value in collection`. */
export interface ForIntro {
  readonly keyName?: string
  readonly valueName: string
  readonly collection: HclExpression
}

/** For an object: what its keys are; `groups`: values of one key are gathered, `…`. */
interface ForKey {
  readonly key?: HclExpression
  readonly groups?: boolean
}

export type TemplatePart =
  | string
  | { readonly kind: 'value'; readonly value: HclExpression }
  | ({ readonly kind: 'for'; readonly body: readonly TemplatePart[] } & ForIntro)
  | {
      readonly kind: 'if'
      readonly condition: HclExpression
      readonly yes: readonly TemplatePart[]
      readonly no: readonly TemplatePart[]
    }
