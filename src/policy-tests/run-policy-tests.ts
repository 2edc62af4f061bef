// Policy tests over the very parts that `explain` and the proxy decide with: one decider per configuration, without run-time
// changes. Reads every file, decides, compares. All invalid input is reported together, for all files; a case that was
// asked passes or fails. Shows nothing.

import { type CaseResult, coverageOf, differencesOf, type TestRun, type Verdict } from '../analysis/policy-test.ts'
import { proveReach } from '../analysis/unreachable.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { allowlistsOf, openDecider, type SharedParts } from '../decider/decider.ts'
import { type Explained, explainConnection } from '../decider/explain-connection.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { asGatewayError } from '../errors/gateway-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { bundledGeoSources, openGeoDatabase } from '../geo/database.ts'
import { parseIp } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import { type Allowlists, letsIn } from '../policy/allowlist.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { readTestFile, type TestCase, type TestFile, type TestFlow } from './read-test-file.ts'
import { findTestFiles } from './test-files.ts'

type Asked = readonly Explained[]

/** Runs the cases of every test file at these paths (files, or folders with `*.test.yaml`). Throws an InputError with every
 *  problem of every file. */
export async function runPolicyTests(paths: readonly string[], options: RunOptions = {}): Promise<PolicyTestRun> {
  const bundledGeo = openGeoDatabase(bundledGeoSources(), { changes: 'ignored' })
  try {
    return await runTestFiles<Asked>(paths, options, (configFile) =>
      openSubject(configFile, { bundledGeo }, options.onNotice),
    )
  } finally {
    bundledGeo.close()
  }
}

async function openSubject(
  configFile: string,
  shared: SharedParts,
  onNotice: RunOptions['onNotice'],
): Promise<TestSubject<Asked>> {
  const decider = await openDecider({ configFile }, shared)
  for (const issue of decider.issues) onNotice?.(issue)
  const allowlists = allowlistsOf(decider.config)
  return {
    ruleset: decider.snapshot.ruleset,
    account: decider.snapshot.account,
    files: filesOf(decider.config),
    close: decider.close,
    ask: async ({ destination, colosDown, ...options }: TestFlow): Promise<TestAnswer<Asked>> => {
      try {
        const explained = await explainConnection(decider, destination, { ...options, coloDown: colosDown })
        return { asked: explained, verdict: verdictOf(explained[0], allowlists) }
      } catch (thrown) {
        if (thrown instanceof InputError) throw thrown
        const { code, message, cause } = asGatewayError(thrown)
        if (code === 'internal.invariant') throw cause ?? thrown
        return { asked: [], verdict: { kind: 'failed', code, message } }
      }
    },
  }
}

function verdictOf({ flow, explanation: { decision } }: Explained, allowlists: Allowlists): Verdict {
  const service = allowlists.find(flow.host, flow.destination.ip.text)
  const source = parseIp(decision.egress?.ipv4 ?? decision.egress?.ipv6 ?? '')
  return { kind: 'decided', decision, letIn: service === undefined ? null : letsIn(service, source) }
}

function filesOf({ file, rules }: LabConfig): string[] {
  return [...new Set([file, ...rules.flatMap(({ position }) => position.file ?? [])])]
}

export type PolicyTestCase = CaseResult<readonly Explained[]>
/** `asked`: an explanation per address of the destination; none for a connection that failed before a decision. */
export type PolicyTestRun = TestRun<readonly Explained[]>
/** A configuration that can be asked what it decides. */
export interface TestSubject<Asked> {
  readonly ruleset: Ruleset
  readonly account: Account
  /** the files it was read from */
  readonly files: readonly string[]
  /** Throws an InputError for a flow that cannot be. */
  readonly ask: (flow: TestFlow) => Promise<TestAnswer<Asked>>
  readonly close: () => void
}

export interface TestAnswer<Asked> {
  readonly verdict: Verdict
  readonly asked: Asked
}

export interface RunOptions {
  /** in place of the configuration that each file names; or what to use for the one it names */
  readonly config?: string | ((named: string) => Promise<string>)
  /** only cases whose name has this in it, letter case aside */
  readonly filter?: string
  /** gets warnings about each configuration */
  readonly onNotice?: (issue: Issue) => void
}

/** Runs the cases of all files found at the paths, in order. Throws an InputError with every problem of every file. */
export async function runTestFiles<Asked>(
  paths: readonly string[],
  { config, filter = '' }: RunOptions,
  openSubject: (configFile: string) => Promise<TestSubject<Asked>>,
): Promise<TestRun<Asked>> {
  const files = findTestFiles(paths).map(readTestFile)
  const subjects = createSubjects(openSubject)
  try {
    const ran: { file: TestFile; config: string; results: CaseResult<Asked>[] }[] = []
    for (const file of files) {
      const configFile = typeof config === 'function' ? await config(file.config.path) : (config ?? file.config.path)
      const subject = file.cases.length === 0 ? undefined : await subjects.open(configFile, file)
      const cases = file.cases.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()))
      const results: CaseResult<Asked>[] = []
      for (const each of subject === undefined ? [] : cases) results.push(...(await runCase(file, each, subject)))
      ran.push({ file, config: configFile, results })
    }
    const issues = [...files.flatMap((file) => inOrder(file.issues)), ...subjects.issues]
    if (issues.length > 0) throw new InputError(issues)
    return {
      sources: [...files.map(({ file }) => file), ...subjects.all().flatMap(([, subject]) => subject.files)],
      files: ran.map(({ file, config: path, results }) => ({ file: file.file, config: path, cases: results })),
      coverage: subjects.all().flatMap(([path, { ruleset, account }]) => {
        const results = ran.filter((one) => one.config === path).flatMap((one) => one.results)
        if (results.length === 0) return []
        const { unreachable } = proveReach({ ruleset, account })
        return [{ config: path, rules: coverageOf(ruleset, results.map(decidedBy), unreachable) }]
      }),
    }
  } finally {
    subjects.close()
  }
}

/** By place, what stands in `defaults` once and not for every case. */
function inOrder(issues: readonly Issue[]): Issue[] {
  const once = new Map(issues.map((issue) => [`${issue.line}:${issue.column}: ${issue.message}`, issue]))
  return [...once.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
}

/** Opens each configuration once; those that do not open leave their issues. */
function createSubjects<Asked>(openSubject: (configFile: string) => Promise<TestSubject<Asked>>) {
  const opened = new Map<string, TestSubject<Asked> | undefined>()
  const issues: Issue[] = []
  return {
    issues,
    async open(file: string, wantedBy: TestFile): Promise<TestSubject<Asked> | undefined> {
      if (opened.has(file)) return opened.get(file)
      const subject = await openSubject(file).catch((thrown: unknown) => {
        if (!(thrown instanceof InputError)) throw thrown
        const [issue] = thrown.issues
        if (issue?.code === 'config.unreadable' && issue.file === wantedBy.config.path) {
          wantedBy.complainOfConfig(issue.code, issue.message)
        } else issues.push(...thrown.issues)
        return undefined
      })
      opened.set(file, subject)
      return subject
    },
    all: () => [...opened].flatMap(([file, subject]) => (subject === undefined ? [] : [[file, subject] as const])),
    close: () => {
      for (const subject of opened.values()) subject?.close()
    },
  }
}

/** The result, or none and a complaint where the case cannot be asked. */
async function runCase<Asked>(
  { file }: TestFile,
  test: TestCase,
  subject: TestSubject<Asked> | undefined,
): Promise<CaseResult<Asked>[]> {
  if (subject === undefined || !checkRule(test, subject.ruleset)) return []
  const start = performance.now()
  const answer = await answerOf(test, subject)
  if (answer === undefined) return []
  const differences = differencesOf(test.expect, answer.verdict)
  const { name, line } = test
  const durationMs = performance.now() - start
  return [{ name, file, line, passed: differences.length === 0, differences, ...answer, durationMs }]
}

/** Options of a flow by the code of what is wrong with them. */
const OPTION_OF: Readonly<Record<string, string>> = {
  'explain.bad_destination': 'destination',
  'explain.unknown_user': 'user',
  'explain.unknown_endpoint': 'endpoint',
  'explain.unknown_colo': 'colos_down',
}

async function answerOf<Asked>(test: TestCase, subject: TestSubject<Asked>): Promise<TestAnswer<Asked> | undefined> {
  try {
    const answer = await subject.ask(test.flow)
    const { verdict } = answer
    // a choice that does not exist is a slip of the pen, unless the case is about it
    if (verdict.kind === 'decided' || !verdict.code.startsWith('request.') || test.expect.error !== undefined) {
      return answer
    }
    test.complain(['flow'], verdict.code, verdict.message)
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    for (const { code, message, hint } of thrown.issues) {
      const option = OPTION_OF[code]
      test.complain(option === undefined ? ['flow'] : ['flow', option], code, message, hint)
    }
  }
  return undefined
}

/** Whether the rule a case expects exists at all. */
function checkRule({ expect: { rule: wanted }, complain }: TestCase, { rules }: Ruleset): boolean {
  if (typeof wanted !== 'string') return true
  if (rules.some(({ id, name }) => name === wanted || id === wanted.toLowerCase())) return true
  const hint = didYouMean(
    wanted,
    rules.map(({ name }) => name),
    'there are',
  )
  complain(['expect', 'rule'], 'test.unknown_rule', `the configuration has no rule \`${wanted}\``, hint)
  return false
}

function decidedBy({ name, verdict }: CaseResult<unknown>): { name: string; ruleId: string | null } {
  return { name, ruleId: verdict.kind === 'decided' ? (verdict.decision.rule?.id ?? null) : null }
}
