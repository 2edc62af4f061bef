// Policy tests over the very parts that `explain` and the proxy decide with: a desk per configuration, without what was
// changed at run time.

import { writeFileSync } from 'node:fs'
import { junitReport } from '../analysis/junit.ts'
import type { CaseResult, TestRun, Verdict } from '../analysis/policy-test.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { allowlistsOf } from '../decider/allowlists.ts'
import { openDecider, type SharedParts } from '../decider/decider.ts'
import { type Explained, explainConnection } from '../decider/explain-connection.ts'
import { asGatewayError } from '../errors/gateway-error.ts'
import { InputError } from '../errors/issue.ts'
import { bundledGeoSources, openGeoDatabase } from '../geo/database.ts'
import { exitCodeOf, untilStopSignal } from '../lab/signals.ts'
import { parseIp } from '../net/ip.ts'
import { type Allowlists, letsIn } from '../policy/allowlist.ts'
import type { TestFlow } from './read-test-file.ts'
import { runTestFiles, type TestAnswer, type TestSubject } from './run-test-files.ts'
import { createFileWatch } from './watch-files.ts'

type Asked = readonly Explained[]

/** What `egresslab test` works with. */
export function createPolicyTester(): PolicyTester {
  return {
    run: async (paths, options) => {
      const bundledGeo = openGeoDatabase(bundledGeoSources(), { changes: 'ignored' })
      try {
        return await runTestFiles<Asked>(paths, options, (configFile) => openSubject(configFile, { bundledGeo }))
      } finally {
        bundledGeo.close()
      }
    },
    writeJunit,
    watch: () => ({ ...createFileWatch(), stopped: untilStopSignal().then(exitCodeOf) }),
  }
}

async function openSubject(configFile: string, shared: SharedParts): Promise<TestSubject<Asked>> {
  const desk = await openDecider({ configFile }, shared)
  const allowlists = allowlistsOf(desk.config)
  return {
    ruleset: desk.snapshot.ruleset,
    expressions: desk.snapshot.account.settings.expressions,
    files: filesOf(desk.config),
    close: desk.close,
    ask: async ({ destination, colosDown, ...options }: TestFlow): Promise<TestAnswer<Asked>> => {
      try {
        const explained = await explainConnection(desk, destination, { ...options, coloDown: colosDown })
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

function writeJunit(file: string, run: TestRun<Asked>, detailOf: (failed: CaseResult<Asked>) => string): void {
  try {
    writeFileSync(file, junitReport(run, detailOf))
  } catch (thrown) {
    const reason = thrown instanceof Error && 'code' in thrown ? ` (${String(thrown.code)})` : ''
    const message = `the report cannot be written to \`${file}\`${reason}`
    throw new InputError([{ severity: 'error', code: 'test.unwritable', message }])
  }
}
export interface PolicyTestWatch {
  readonly add: (paths: readonly string[]) => void
  /** resolves once something has changed since the last time */
  readonly change: () => Promise<void>
  /** resolves when the user wants no more */
  readonly stopped: Promise<130 | 143>
  readonly close: () => void
}
export type PolicyTestCase = CaseResult<readonly Explained[]>
/** `asked`: an explanation per address of the destination; none for a connection that failed before a decision. */
export type PolicyTestRun = TestRun<readonly Explained[]>
export interface PolicyTestOptions {
  /** in place of the configuration that each test file names */
  readonly config?: string
  /** only cases whose name has this in it */
  readonly filter?: string
}
export interface PolicyTester {
  /** Runs the cases of every test file at these paths. Throws an InputError with every problem of every file. */
  readonly run: (paths: readonly string[], options: PolicyTestOptions) => Promise<PolicyTestRun>
  /** Writes a JUnit report. Throws an InputError where that does not work. */
  readonly writeJunit: (file: string, run: PolicyTestRun, detailOf: (failed: PolicyTestCase) => string) => void
  readonly watch: () => PolicyTestWatch
}
