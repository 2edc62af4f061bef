// Reads a configuration file as the lab will run it, compiles its rules, and reports every problem of either together.

import type { LabConfig } from '../config/lab-config.ts'
import { checkConfig, type LoadConfigOptions } from '../config/load.ts'
import { placeRuleIssue } from '../config/read-rules.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { Account } from '../policy/account.ts'
import { checkRule } from '../policy/rule-check.ts'
import { createStore } from '../store/store.ts'

export interface ReadOptions extends LoadConfigOptions {
  /** makes of a good configuration the one that is run: a scenario gives everybody a password it knows */
  readonly adjust?: (config: LabConfig) => LabConfig
}

/** Reads and checks a file. Throws an InputError with every error found, warnings beside them. */
export function readConfig(file: string, options: ReadOptions = {}): ReadConfig {
  const checked = checkConfig(file, options)
  if (checked.config === undefined) throw new InputError(checked.issues)
  const issues = inFileOrder([...checked.issues, ...ruleIssues(checked.config)])
  if (issues.some(({ severity }) => severity === 'error')) throw new InputError(issues)
  return { config: options.adjust?.(checked.config) ?? checked.config, issues }
}

/** What is wrong with the rules, at their places in the file. */
function ruleIssues(config: LabConfig): Issue[] {
  const account = accountOf(config)
  return config.rules.flatMap((rule) => {
    const others = config.rules.filter((other) => other !== rule)
    return checkRule(rule, account, others).map((issue) => placeRuleIssue(issue, rule, config.file))
  })
}

/** The account as it is before any rule is asked. */
function accountOf(config: LabConfig): Account {
  const store = createStore({ ...config, rules: [] }, { onNotice: unexpectedNotice })
  const { account } = store.current()
  store.close()
  return account
}

function inFileOrder(issues: readonly Issue[]): Issue[] {
  return issues.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
}

/** For callers that expect no notice: throws an Error with its message. */
export function unexpectedNotice({ message }: Issue): never {
  throw new Error(`unexpected notice: ${message}`)
}

export interface ReadConfig {
  readonly config: LabConfig
  /** warnings and advice */
  readonly issues: readonly Issue[]
}
