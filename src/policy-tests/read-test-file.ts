// A file of policy tests as cases that know their place in it. Checks the shape; whether names exist is found out by
// asking the configuration.

import { dirname, isAbsolute, join } from 'node:path'
import type { Expectation } from '../analysis/policy-test.ts'
import { checkShape } from '../config/check-shape.ts'
import { createProblems, type Problems } from '../config/problems.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { CONNECTION_ERRORS } from '../errors/catalogue.ts'
import { closest, didYouMean } from '../errors/did-you-mean.ts'
import type { Issue } from '../errors/issue.ts'
import { COLOS } from '../policy/place.ts'
import { POLICY_TESTS, type RawCase, type RawFlow, type RawPolicyTests } from './policy-test-schema.ts'

/** A hypothetical connection, in the terms of `explain`. */
export interface TestFlow {
  readonly destination: string
  readonly protocol: 'tcp' | 'udp'
  readonly user?: string
  readonly vnet?: string
  readonly sourceIp?: string
  readonly device?: string
  readonly endpoint?: string
  readonly family?: '4' | '6'
  readonly colosDown: readonly string[]
}

export interface TestCase {
  readonly name: string
  readonly line: number
  readonly flow: TestFlow
  readonly expect: Expectation
  /** Notes a problem with a part of the case, such as `['flow', 'user']`. */
  readonly complain: (part: readonly string[], code: string, message: string, hint?: string) => void
}

export interface TestFile {
  readonly file: string
  /** as written, and seen from the working directory */
  readonly config: { readonly written: string; readonly path: string }
  readonly cases: readonly TestCase[]
  /** Notes that the configuration it names cannot be read. */
  readonly complainOfConfig: (code: string, message: string) => void
  /** everything noted so far, in the order it was */
  readonly issues: readonly Issue[]
}

/** Reads a file. Never throws for what is in it: without a right shape there are issues and no cases. */
export function readTestFile(file: string): TestFile {
  const document = readSourceDocument(file)
  const problems = createProblems(document)
  if (document.issues.length === 0) checkShape(POLICY_TESTS, document.data, problems)
  const issues = problems.issues
  const written = String(Object(document.data).config ?? '')
  const config = { written, path: isAbsolute(written) ? written : join(dirname(file), written) }
  const complainOfConfig = (code: string, message: string) => problems.add(['config'], code, message)
  if (document.issues.length > 0 || issues.length > 0) {
    return { file, config, cases: [], complainOfConfig, issues: [...document.issues, ...issues] }
  }
  const raw = document.data as RawPolicyTests
  const cases = (raw.cases ?? []).map((one, at) => toCase(one, at, raw.defaults ?? {}, problems))
  return { file, config, cases, complainOfConfig, issues }
}

function toCase({ name, flow, expect }: RawCase, at: number, defaults: RawFlow, problems: Problems): TestCase {
  const path = ['cases', at] as const
  const complain: TestCase['complain'] = (part, code, message, hint) => {
    const own = Object.hasOwn(Object(part[0] === 'flow' ? flow : expect), part[1] ?? '')
    const inDefaults = part[0] === 'flow' && !own && Object.hasOwn(defaults, part[1] ?? '')
    problems.add(inDefaults ? ['defaults', ...part.slice(1)] : [...path, ...part], code, message, { hint })
  }
  const merged = { ...defaults, ...flow }
  if (merged.destination === undefined) {
    complain(['flow'], 'config.missing_key', '`destination` is missing here and in `defaults`')
  }
  checkCodes(expect, complain)
  return {
    name: name ?? describe(merged),
    line: problems.locate(path).line,
    flow: toFlow(merged),
    expect: inOurSpelling(expect),
    complain,
  }
}

function toFlow({ destination = '', protocol = 'tcp', family, source_ip, colos_down, ...rest }: RawFlow): TestFlow {
  return {
    destination,
    protocol,
    ...rest,
    ...(source_ip === undefined ? {} : { sourceIp: source_ip }),
    ...(family === undefined ? {} : { family: `${family}` }),
    colosDown: (colos_down ?? []).map((code) => code.toUpperCase()),
  }
}

/** What is expected must be possible: data centers and error codes are the same in every configuration. */
function checkCodes(expect: Expectation, complain: TestCase['complain']): void {
  const checkColo = (part: readonly string[], code: string) => {
    if (COLOS.has(code.toUpperCase())) return
    const guess = closest(code, COLOS.keys())
    const hint = guess === undefined ? 'run `egresslab colo list --all` to list them' : `did you mean \`${guess}\`?`
    complain(part, 'test.unknown_colo', `unknown data center \`${code}\``, hint)
  }
  for (const key of COLO_KEYS) {
    const code = expect[key]
    if (typeof code === 'string') checkColo(['expect', key], code)
  }
  if (expect.error !== undefined && !Object.hasOwn(CONNECTION_ERRORS, expect.error)) {
    const hint = didYouMean(expect.error, Object.keys(CONNECTION_ERRORS))
    complain(['expect', 'error'], 'test.unknown_error', `unknown error code \`${expect.error}\``, hint)
  }
}

const COLO_KEYS = ['ingress_colo', 'physical_colo', 'logical_colo'] as const

function inOurSpelling(expect: Expectation): Expectation {
  const upper = COLO_KEYS.flatMap((key) => {
    const code = expect[key]
    return typeof code === 'string' ? [[key, code.toUpperCase()] as const] : []
  })
  return { ...expect, ...Object.fromEntries(upper) }
}

/** `bob@example.com in vnet-AMER → https://bank.saas.test/` */
function describe({ user = 'nobody', vnet, device, destination = '' }: RawFlow): string {
  const network = vnet === undefined ? '' : ` in ${vnet}`
  return `${user}${device === undefined ? '' : ` on ${device}`}${network} → ${destination}`
}
