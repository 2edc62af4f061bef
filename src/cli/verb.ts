// The shape of every command: a file in commands/ exports a function that adds it to the program. A command reads its options,
// imports its use case when it runs, writes to the given streams, and returns an exit code.

import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { shippedConfig } from '../config/own-package.ts'
import type { Io } from './terminal.ts'

/** 0: good. 1: the checked thing is not good. 2: bad input, usually thrown as InputError instead. 3: not decided. 130, 143: signals. */
export type ExitCode = 0 | 1 | 2 | 3 | 130 | 143

/** The exit code of a program that a command ran for the user; it becomes the command's own. */
export interface ProgramExit {
  readonly passedOn: number
}

export interface VerbContext {
  readonly io: Io
  /** Wraps a command's body for commander: what it returns becomes the exit code of the process. */
  readonly action: <A extends unknown[]>(
    body: (...args: A) => Promise<ExitCode | ProgramExit>,
  ) => (...args: A) => Promise<void>
}

export type RegisterVerb = (program: Command, context: VerbContext) => void

export const DEFAULT_STATE = '.egresslab'

/** Where a configuration is looked for, in this order, where none is named. */
const USUAL_CONFIGS = ['config/lab.yaml', 'lab.yaml']
export const ABOUT_DEFAULT_CONFIG = `${USUAL_CONFIGS.join(', ')}, or the built-in lab`

/** The configuration of this folder, else the one that is built in. */
export function defaultConfig(): string {
  const own = relative('', shippedConfig())
  return USUAL_CONFIGS.find((file) => existsSync(file)) ?? (own.startsWith('..') ? shippedConfig() : own)
}

/** Adds `-c, --config FILE`, which every command on a configuration has. */
export function withConfig(command: Command): Command {
  const option = new Option('-c, --config <file>', 'configuration file')
  return command.addOption(option.default(defaultConfig(), ABOUT_DEFAULT_CONFIG))
}

/** Adds `--json`. */
export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON document to standard output')
}

/** Adds the options of every command on the running lab. */
export function withLab(command: Command): Command {
  return withLabAddress(withJson(command))
}

/** Adds the options that say which lab is meant. */
export function withLabAddress(command: Command): Command {
  return withConfig(command)
    .option('--state <dir>', "the lab's state folder, which has its API token", DEFAULT_STATE)
    .option('--api <host:port>', "address of the lab's API (default: from the configuration)")
}

/** Reads a whole number from 1 to 10,000,000; anything else is a usage error. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 10_000_000) {
    throw new InvalidArgumentError('expected a whole number from 1 to 10,000,000.')
  }
  return value
}

/** The configuration allows the same number. */
const MOST_WORKERS = 64

/** Reads a number of worker threads. */
export function workerCount(text: string): number {
  const number = wholeNumber(text)
  if (number > MOST_WORKERS) throw new InvalidArgumentError(`expected at most ${MOST_WORKERS}.`)
  return number
}

/** `default` accepts what the product accepts, `lenient` also what only its documentation has, `engine` only wirefilter. */
export function modeOption(): Option {
  return new Option('--mode <mode>', 'syntax to accept').choices(['engine', 'default', 'lenient']).default('default')
}
