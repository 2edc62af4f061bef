// placeholder until the policy engine lands
export interface Ruleset {
  readonly rules: readonly import('./rule.ts').Rule[]
}
