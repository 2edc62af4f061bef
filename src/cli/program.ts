// The command line: parses arguments, runs one command, and turns its outcome into output and an exit code.

import { resolve } from 'node:path'
import { Command, CommanderError } from 'commander'
import { ownVersion } from '../config/own-package.ts'
import { InputError } from '../errors/issue.ts'
import { VERBS } from './commands/index.ts'
import { renderIssues } from './render/render-issues.ts'
import { type Io, stylesFor } from './terminal.ts'
import type { VerbContext } from './verb.ts'

/** Runs one command line (without the program's name) to its end. Answers the exit code: 0 good, 1 the checked thing is not
 *  good, 2 bad input or usage, 130/143 stopped by a signal. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  let exitCode = 0
  const context: VerbContext = {
    io,
    action:
      (body) =>
      async (...given) => {
        const ended = await body(...given)
        exitCode = typeof ended === 'number' ? ended : ended.passedOn
      },
  }
  try {
    await createProgram(context).parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2
    if (!(thrown instanceof InputError)) throw thrown
    const { issuesOfOther } = await import('../rules-sync/policy-config.ts')
    const issues = isAboutConfiguration(thrown, args) ? issuesOfOther(thrown.issues) : thrown.issues
    io.stderr.write(renderIssues(issues, stylesFor(io, io.stderr)))
    return 2
  }
}

/** Are these the faults of a file that was named as a configuration, and not of a policy test, say? */
function isAboutConfiguration({ issues }: InputError, args: readonly string[]): boolean {
  const file = issues[0]?.file
  const isNamed = (arg: string, at: number) =>
    ['-c', '--config', '--rules', '--against'].includes(args[at - 1] ?? '') && resolve(arg) === resolve(file ?? '')
  return file !== undefined && (args.some(isNamed) || args.includes(`--config=${file}`))
}

/** After a usage error: the help of the verb that was meant. */
function pointToHelp(command: Command, words: string): void {
  command.showHelpAfterError(`(run ${words} --help for its options)`)
  for (const inner of command.commands) pointToHelp(inner, `${words} ${inner.name()}`)
}

function createProgram(context: VerbContext): Command {
  const { io } = context
  const program = new Command('egresslab')
    .description('Try dedicated egress IPs and egress policies on your own machine.')
    .version(ownVersion(), '--version')
    .exitOverride()
    .showHelpAfterError('(run egresslab --help to list the commands)')
    .configureOutput({
      writeOut: io.stdout.write,
      writeErr: io.stderr.write,
      getOutHelpWidth: () => io.stdout.columns,
      getErrHelpWidth: () => io.stderr.columns,
      getOutHasColors: () => io.stdout.isTerminal,
      getErrHasColors: () => io.stderr.isTerminal,
    })
  for (const register of VERBS) register(program, context)
  for (const verb of program.commands) pointToHelp(verb, `egresslab ${verb.name()}`)
  return program
}
