// Policy tests over the very parts that `explain` and the proxy decide with: one decider per
// configuration, without run-time changes.

import type { CaseResult, TestRun, Verdict } from '../analysis/policy-test.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { allowlistsOf } from '../decider/allowlists.ts'
import { openDecider, type SharedParts } from '../decider/decider.ts'
import { type Explained, explainConnection } from '../decider/explain-connection.ts'
import { asGatewayError } from '../errors/gateway-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { bundledGeoSources, openGeoDatabase } from '../geo/database.ts'
import { parseIp } from '../net/ip.ts'
import { type Allowlists, letsIn } from '../policy/allowlist.ts'
import type { TestFlow } from './read-test-file.ts'
import { runTestFiles, type TestAnswer, type TestSubject } from './run-test-files.ts'

type Asked = readonly Explained[]

/** Runs the cases of every test file at these paths (files, or folders with `*.test.yaml`). Throws an InputError with every
 *  problem of every file. */
export async function runPolicyTests(
  paths: readonly string[],
  options: PolicyTestOptions = {},
): Promise<PolicyTestRun> {
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
  onNotice: PolicyTestOptions['onNotice'],
): Promise<TestSubject<Asked>> {
  const decider = await openDecider({ configFile }, shared)
  for (const issue of decider.issues) onNotice?.(issue)
  const allowlists = allowlistsOf(decider.config)
  return {
    ruleset: decider.snapshot.ruleset,
    expressions: decider.snapshot.account.settings.expressions,
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
export interface PolicyTestOptions {
  /** in place of the configuration that each test file names */
  readonly config?: string
  /** only cases whose name has this in it */
  readonly filter?: string
  /** gets warnings about each configuration */
  readonly onNotice?: (issue: Issue) => void
}
