// The shape every verb has: a file in commands/ exports a function that adds one command to the program. A verb reads
// its options, asks the services for facts, writes to the streams it was given, and answers an exit code.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Io } from './terminal.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { LabSnapshot } from '../config/lab-state.ts'
import type { Issue } from '../errors/issue.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Flow } from '../policy/flow.ts'
import type { CaseResult, TestRun } from '../analysis/policy-test.ts'
import type { ReplaySummary } from '../analysis/replay-summary.ts'
import type { ScenarioReport, TimedEntry } from '../analysis/scenario-report.ts'
import type { Arrival, Listener } from '../proxy/arrival.ts'
import type { Candidate } from '../proxy/stage-values.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { EngineChoice } from '../transport/choose-engine.ts'
import type { EngineName } from '../transport/engine.ts'
import type { HostAddresses } from '../host-addresses/host-addresses.ts'
import type { Explained } from '../decider/explain-connection.ts'
import type { RulesSync } from '../rules-sync/rules-sync.ts'

/** 0: good. 1: the checked thing is not good. 2: bad input, usually thrown as InputError instead. 130, 143: signals. */
export type ExitCode = 0 | 1 | 2 | 130 | 143

/** The exit code of a program that a verb ran for the user: the verb's own, whatever it is. */
export interface ProgramExit {
  readonly passedOn: number
}

export interface VerbContext {
  readonly io: Io
  readonly services: Services
  /** Wraps a verb's body for commander: what it answers becomes the exit code of the process. */
  readonly action: <A extends unknown[]>(
    body: (...args: A) => Promise<ExitCode | ProgramExit>,
  ) => (...args: A) => Promise<void>
}

export type RegisterVerb = (program: Command, context: VerbContext) => void

export const DEFAULT_CONFIG = 'config/lab.yaml'
export const DEFAULT_STATE = '.egresslab'

/** Adds `-c, --config FILE`, which every verb on a configuration has. */
export function withConfig(command: Command): Command {
  return command.option('-c, --config <file>', 'configuration file', DEFAULT_CONFIG)
}

/** Adds `--json`. */
export function withJson(command: Command): Command {
  return command.option('--json', 'one JSON document on standard output')
}

export interface LabClient {
  /** `http://127.0.0.1:8090` */
  readonly url: string
  /** One request; answers the `result` of the envelope. Throws an InputError saying what is wrong: nobody listens, the token is
   *  refused, or the lab's own words. */
  readonly ask: (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<unknown>
  /** Follows an event stream until the lab ends it or `signal` fires. Throws an InputError like `ask`. */
  readonly follow: (path: string, signal: AbortSignal) => AsyncIterable<LabEvent>
}

export interface LabEvent {
  readonly event: string
  readonly data: unknown
}

/** Options that say which lab is meant. */
export interface LabAddressOptions {
  readonly config: string
  readonly state: string
  readonly api?: string
  readonly json?: true
}

/** Adds what every verb on the running lab has. */
export function withLab(command: Command): Command {
  return withJson(withConfig(command))
    .option('--state <dir>', 'state folder of the lab, where its API token is', DEFAULT_STATE)
    .option('--api <host:port>', "where the lab's API is (default: as configured)")
}

/** Reads a whole number from 1 to 10,000,000; anything else is a usage error. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 10_000_000) {
    throw new InvalidArgumentError('expected a whole number from 1 to 10,000,000.')
  }
  return value
}

/** As many as the configuration may name. */
const MOST_WORKERS = 64

/** Reads a number of worker threads. */
export function workerCount(text: string): number {
  const number = wholeNumber(text)
  if (number > MOST_WORKERS) throw new InvalidArgumentError(`expected at most ${MOST_WORKERS}.`)
  return number
}

/** `default` takes what the product takes, `lenient` also what only its documentation has, `engine` nothing beyond wirefilter. */
export function modeOption(): Option {
  return new Option('--mode <mode>', 'spellings taken').choices(['engine', 'default', 'lenient']).default('default')
}

export interface Services {
  readonly version: string
  /** Reads and checks a configuration, rules included. Throws an InputError with every error; warnings come back. */
  readonly readConfig: (file: string) => Promise<ReadConfig>
  /** The issues of a good configuration, with best-practice advice. Throws an InputError. */
  readonly adviseOn: (read: ReadConfig) => Promise<readonly Issue[]>
  /** The parts of the lab that decide, without a socket. Throws an InputError. */
  readonly openDesk: (options: DeciderOptions) => Promise<Decider>
  /** Starts everything. Throws an InputError; then nothing listens. */
  readonly startLab: (options: StartOptions) => Promise<RunningLab>
  /** Waits for SIGINT or SIGTERM, stops the lab, answers 130 or 143. */
  readonly runUntilSignal: (lab: RunningLab) => Promise<130 | 143>
  /** Makes the development certificates where missing; answers the authority's. */
  readonly certificateAuthority: (config: LabConfig) => Promise<{ readonly file: string; readonly pem: string }>
  /** Asks an origin through a running proxy over HTTP. Throws a plain Error that says what did not work. */
  readonly askThroughProxy: (request: ProxyRequest) => Promise<ProxyAnswer>
  /** Load-tests rule evaluation on synthetic rules, or on a configuration's. Throws an InputError. */
  readonly benchDecide: (options: DecideBenchRequest) => Promise<DecideBenchSummary>
  /** Load-tests the data path on a configuration, in a process of its own. Throws an InputError. */
  readonly benchProxy: (options: ProxyBenchRequest) => Promise<ProxyBenchSummary>
  readonly policyTester: () => Promise<PolicyTester>
  readonly scenarioDesk: () => Promise<ScenarioRunner>
  /** Decides recorded sessions anew. Throws an InputError. */
  readonly replay: (request: ReplayRequest) => Promise<ReplayOutcome>
  /** Reaches the running lab's own API. Throws an InputError where there is no lab, or no token for it. */
  readonly connectLab: (options: LabAddressOptions) => Promise<LabClient>
  /** Addresses of this machine, seen from a configuration. Throws an InputError. */
  readonly addressDesk: (configFile: string) => Promise<HostAddresses>
  readonly rulesDesk: () => Promise<RulesSync>
  /** How a finished session is drawn on one line. */
  readonly sessionLine: () => Promise<(record: SessionRecord, options: { readonly colour: boolean }) => string>
  /** The wish to stop, by SIGINT or SIGTERM, as an exit code; `forget` gives the signals back their usual meaning. */
  readonly stopSignal: () => { readonly promise: Promise<130 | 143>; readonly forget: () => void }
}

export interface ReadConfig {
  readonly config: LabConfig
  /** warnings and advice */
  readonly issues: readonly Issue[]
}

export interface DeciderOptions {
  readonly configFile: string
  /** folder of what was changed at run time; absent: the configuration alone */
  readonly state?: string
}

/** The lab at a desk: everything that decides, asked by hand. */
export interface Decider {
  readonly config: LabConfig
  readonly issues: readonly Issue[]
  readonly snapshot: LabSnapshot
  /** What the proxy would make of this arrival, were its password right: one flow per address, in dial order.
   *  Throws GatewayError as the proxy would. */
  readonly flowsOf: (arrival: Arrival) => Promise<readonly HypotheticalFlow[]>
  readonly close: () => void
}

/** What would be decided on, and the address bytes would really go to. */
export interface HypotheticalFlow {
  readonly flow: Flow
  readonly candidate: Candidate
}

export interface StartOptions {
  readonly configFile: string
  readonly state: string
  readonly ephemeral: boolean
  /** threads that carry connections; default: as configured */
  readonly workers?: number
  /** how connections enter and leave; default: as configured */
  readonly engine?: EngineChoice
  /** where sessions go beside the file; absent: nowhere */
  readonly sessionsTo?: { readonly form: 'line' | 'ndjson'; readonly colour: boolean }
}

export interface RunningLab {
  readonly config: LabConfig
  readonly issues: readonly Issue[]
  readonly snapshot: () => LabSnapshot
  /** with the ports really listening */
  readonly listeners: readonly Listener[]
  readonly api: { readonly host: string; readonly port: number }
  /** where Gateway DNS listens, UDP and TCP; empty: there is none */
  readonly dns: readonly Endpoint[]
  /** `file`: where it can be read; absent where it was given from outside or lives in memory. `made`: the token, where it was made
   *  just now, to be shown this once. */
  readonly apiToken: { readonly file?: string; readonly made?: string }
  /** that carries the connections */
  readonly engine: EngineName
  readonly authorityFile: string
  readonly sessionsFile?: string
  readonly desk: Decider
  readonly close: () => Promise<void>
}

export interface ProxyRequest {
  readonly proxy: { readonly host: string; readonly port: number }
  readonly username?: string
  readonly password?: string
  /** `http://…` */
  readonly url: string
}

export interface ProxyAnswer {
  readonly status: number
  readonly body: string
  /** RFC 9209, as the proxy sent it */
  readonly proxyStatus?: string
}

export interface DecideBenchRequest {
  /** a synthetic rule set of this size, or the rules of a configuration file */
  readonly rules: number | { readonly configFile: string }
  readonly connections: number
  /** how connections are spread: a few of them, and of their people and sites, come most of the time, or all equally often */
  readonly traffic: 'zipf' | 'uniform'
  /** decide what came before from the cache */
  readonly cache: boolean
  readonly threads: number
  readonly seconds: number
  readonly seed: number
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

type Percentiles = Readonly<Record<'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>

export interface DecideBenchSummary {
  readonly rules: number
  readonly connections: number
  readonly threads: number
  readonly seconds: number
  readonly decisions: number
  readonly decisionsPerSecond: number
  /** mean processor time of one decision */
  readonly processorNs: number
  /** share of connections some rule matched, 0…1 */
  readonly matched: number
  /** share of decisions that came from the cache, 0…1 */
  readonly known: number
  readonly latencyNs: Percentiles
  /** of those that did not come from the cache; null where all did */
  readonly unknownNs: Percentiles | null
  /** single decisions by duration: the count at n took at least 2^n and less than 2^(n+1) nanoseconds */
  readonly buckets: readonly number[]
  readonly compileMs: number
  readonly rulesetBytes: number
  readonly rssBytes: number
}

export interface PolicyTester {
  /** Runs the cases of every test file at these paths. Throws an InputError with every problem of every file. */
  readonly run: (paths: readonly string[], options: PolicyTestOptions) => Promise<PolicyTestRun>
  /** Writes a JUnit report. Throws an InputError where that does not work. */
  readonly writeJunit: (file: string, run: PolicyTestRun, detailOf: (failed: PolicyTestCase) => string) => void
  readonly watch: () => PolicyTestWatch
}

export interface PolicyTestOptions {
  /** in place of the configuration that each test file names */
  readonly config?: string
  /** only cases whose name has this in it */
  readonly filter?: string
}

/** `asked`: an explanation per address of the destination; none for a connection that failed before a decision. */
export type PolicyTestRun = TestRun<readonly Explained[]>
export type PolicyTestCase = CaseResult<readonly Explained[]>

export interface PolicyTestWatch {
  readonly add: (paths: readonly string[]) => void
  /** resolves once something has changed since the last time */
  readonly change: () => Promise<void>
  /** resolves when the user wants no more */
  readonly stopped: Promise<130 | 143>
  readonly close: () => void
}

export interface ScenarioRunner {
  /** Plays scenarios, one after the other. Throws an InputError with every problem of every file before any is played. */
  readonly play: (request: ScenarioRequest) => Promise<readonly ScenarioReport[]>
  /** Writes a JUnit report. Throws an InputError where that does not work. */
  readonly writeJunit: (file: string, reports: readonly ScenarioReport[]) => void
}

export interface ScenarioRequest {
  readonly files: readonly string[]
  /** in place of the configuration that each file names */
  readonly config?: string
  /** through the proxy of a lab, or by deciding alone */
  readonly mode: 'proxy' | 'decide'
  /** how many times as fast as the machine's clock */
  readonly pace: 'instant' | number
  readonly onBegin?: (scenario: { readonly name: string; readonly file: string; readonly durationMs: number }) => void
  readonly onEntry?: (entry: TimedEntry) => void
  readonly onEnd?: (report: ScenarioReport) => void
  /** ends it before its time */
  readonly signal?: AbortSignal
}

export interface ReplayRequest {
  /** paths; `-` is standard input */
  readonly sessions: readonly string[]
  /** for rules in a file of their own, and where no rules are named */
  readonly configFile: string
  /** configuration or list of rules */
  readonly rules?: string
  /** compare these with `rules`, in place of `rules` with what was recorded */
  readonly against?: string
  readonly threads: number
  /** where changed records go */
  readonly out?: string
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface ReplayOutcome {
  readonly summary: ReplaySummary
  /** the first few lines that are no session record */
  readonly unreadable: readonly { readonly file: string; readonly line: number; readonly message: string }[]
  readonly seconds: number
  /** the rules sessions were decided by in the end, by precedence; those that can decide */
  readonly rules: readonly { readonly id: string; readonly name: string; readonly precedence: number }[]
}

export interface ProxyBenchRequest {
  readonly configFile: string
  readonly mode: 'connect' | 'http' | 'socks5' | 'relay' | 'udp'
  /** threads of the proxy that carry connections */
  readonly workers: number
  readonly concurrency: number
  readonly seconds: number
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface ProxyBenchSummary {
  readonly mode: ProxyBenchRequest['mode']
  readonly concurrency: number
  readonly seconds: number
  readonly operations: number
  readonly failures: number
  /** the first failure, in words */
  readonly failure?: string
  /** received through the proxy, relay only */
  readonly bytes: number
  /** nanoseconds of single operations; relay has none */
  readonly latency: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>>
  /** of the proxy's process, all its threads */
  readonly processorSeconds: number
  readonly rssBytes: number
}
