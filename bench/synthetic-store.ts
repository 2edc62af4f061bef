// The state of a lab with synthetic rules, in memory.

import type { LabConfig } from '../src/config/lab-config.ts'
import { readConfig } from '../src/decider/read-config.ts'
import type { PolicyUnderTest } from '../src/load-test/decide-load.ts'
import { createStore, type Store } from '../src/store/store.ts'

/** The shipped configuration with these rules and lists in place of its own. */
export function storeWith({ rules, lists }: PolicyUnderTest): { readonly config: LabConfig; readonly store: Store } {
  const shipped = readConfig('config/lab.yaml').config
  const position = { line: 1, column: 1 }
  const placed = rules.map((rule) => ({ ...rule, position, expressionPositions: {} }))
  const config: LabConfig = { ...shipped, rules: placed, lists }
  return { config, store: createStore(config, { onNotice: () => undefined }) }
}
