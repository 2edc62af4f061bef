// The shape every verb has: a file in commands/ exports a function that adds one command to the program. A verb reads
// its options, asks the services for facts, writes to the streams it was given, and answers an exit code.

import type { Command } from 'commander'
import type { Io } from './io.ts'
import type { Services } from './services.ts'

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
