// The shape every verb has: a file in commands/ exports a function that adds one command to the program. A verb reads
// its options, asks the services for facts, writes to the streams it was given, and answers an exit code.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LabConfig } from '../config/lab-config.ts'
import type { Decider, DeciderOptions } from '../decider/decider.ts'
import type { ReadConfig } from '../decider/read-config.ts'
import type { ProxyAnswer, ProxyRequest } from '../decider/verify-egress.ts'
import type { Issue } from '../errors/issue.ts'
import type { HostAddresses } from '../host-addresses/host-addresses.ts'
import type { LabAddressOptions, LabClient } from '../lab/lab-client.ts'
import type { RunningLab, StartOptions } from '../lab/start-lab.ts'
import type { DecideBenchRequest, DecideBenchSummary } from '../load-test/bench-decide.ts'
import type { ProxyBenchRequest, ProxyBenchSummary } from '../load-test/bench-proxy.ts'
import type { PolicyTester } from '../policy-tests/run-policy-tests.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { ReplayOutcome, ReplayRequest } from '../replay/replay.ts'
import type { RulesSync } from '../rules-sync/rules-sync.ts'
import type { ScenarioRunner } from '../scenario/run-scenarios.ts'
import type { Io } from './terminal.ts'

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
