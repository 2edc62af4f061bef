// The shape every verb has: a file in commands/ exports a function that adds one command to the program. A verb reads
// its options, asks the services for facts, writes to the streams it was given, and answers an exit code.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Io } from './terminal.ts'

/** 0: good. 1: the checked thing is not good. 2: bad input, usually thrown as InputError instead. 130, 143: signals. */
export type ExitCode = 0 | 1 | 2 | 130 | 143

/** The exit code of a program that a verb ran for the user: the verb's own, whatever it is. */
export interface ProgramExit {
  readonly passedOn: number
}

export interface VerbContext {
  readonly io: Io
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
