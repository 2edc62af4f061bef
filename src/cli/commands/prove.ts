// `prove`: answers questions about every connection with a solver: invariants, allowlists, what rules are good for,
// whether two policies are the same. What is refuted comes with a connection that shows it.

import { writeOutput } from '../../config/files.ts'
import type { Decider } from '../../decider/decider.ts'
import { InputError, inputError } from '../../errors/issue.ts'
import type { Answer } from '../../prove/answer.ts'
import type { ProveSettings } from '../../prove/invariants.ts'
import { openDecider } from '../lazy-imports.ts'
import {
  junitOfAnswers,
  renderAnswer,
  renderComparison,
  renderFinding,
  renderTally,
  sarifOfAnswers,
} from '../render/render-proof.ts'
import { watchStopSignal } from '../signals.ts'
import { type Io, stylesFor, writeJson } from '../terminal.ts'
import { defaultConfig, type ExitCode, type RegisterVerb, wholeNumber, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly json?: true
  readonly allowlists?: true
  readonly reach?: true
  readonly same?: true
  readonly colosDown: string
  readonly timeout: number
  readonly allowUndecided?: true
  readonly junit?: string
  readonly sarif?: string
}

export const registerProve: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('prove [files...]')))
    .description('proves statements about every connection, or shows one that breaks them; sends no traffic')
    .addHelpText('after', '\nFILES are configurations or policy tests with `invariants` (default: the configuration).')
    .option('--allowlists', 'does every service with an allowlist let in every group, from every virtual network?')
    .option('--colos-down <n>', 'with --allowlists: how many data centers may be down at once', '1')
    .option('--reach', 'which rules decide nothing, or only in outages, and which connections no rule decides')
    .option('--same', 'FILES are two policies: do they decide every connection alike?')
    .option('--timeout <seconds>', 'give up on a question after this long', wholeNumber, 30)
    .option('--allow-undecided', 'exit 0 even if a question was not decided')
    .option('--junit <file>', 'write a JUnit report of the answers to this file')
    .option('--sarif <file>', 'write a SARIF report of the answers to this file')
    .action(
      action(async (files: readonly string[], options: Options) => {
        const stopped = new AbortController()
        const signal = watchStopSignal()
        void signal.promise.then(() => stopped.abort())
        const settings = { timeoutMs: options.timeout * 1000, signal: stopped.signal }
        try {
          const code = await ask(files, options, settings, io)
          return stopped.signal.aborted ? await signal.promise : code
        } finally {
          signal.forget()
        }
      }),
    )
}

function ask(files: readonly string[], options: Options, settings: ProveSettings, io: Io): Promise<ExitCode> {
  const kinds = [options.allowlists, options.reach, options.same].filter((one) => one === true)
  if (kinds.length > 1) throw inputError('prove.usage', '`--allowlists`, `--reach` and `--same` exclude each other')
  if (options.same) return compare(files, options, settings, io)
  if (options.reach) return reach(files, options, settings, io)
  return answers(files, options, settings, io)
}

/** Invariants, or allowlists: an answer each. */
async function answers(files: readonly string[], options: Options, settings: ProveSettings, io: Io): Promise<ExitCode> {
  const { answerJson, exitCodeOfAnswers, explainArguments } = await import('../../prove/answer.ts')
  const asked = files.length === 0 ? [options.config] : files
  const style = stylesFor(io, io.stdout)
  const deciders = new Map<string, Promise<Decider>>()
  const told: Answer[] = []
  try {
    for await (const answer of asking(asked, options, settings)) {
      told.push(answer)
      if (options.json) continue
      const { config, witness } = answer
      const decider = deciders.get(config) ?? openDecider({ configFile: config })
      if (witness !== null) deciders.set(config, decider)
      const again = witness === null ? undefined : await explainArguments(await decider, witness)
      const named = config === defaultConfig() ? [] : ['-c', config]
      io.stdout.write(renderAnswer(answer, style, again && [...again, ...named]))
    }
  } finally {
    for (const decider of deciders.values()) (await decider).close()
  }
  if (options.junit !== undefined) writeOutput(options.junit, junitOfAnswers(told), 'prove.unwritable')
  if (options.sarif !== undefined) writeOutput(options.sarif, sarifOfAnswers(told), 'prove.unwritable')
  if (options.json) writeJson(io, { answers: told.map(answerJson) })
  else io.stdout.write(renderTally(told, style))
  return exitCodeOfAnswers(told, options.allowUndecided)
}

async function* asking(
  files: readonly string[],
  { allowlists, colosDown }: Options,
  settings: ProveSettings,
): AsyncGenerator<Answer & { readonly config: string }> {
  if (allowlists !== true) {
    yield* (await import('../../prove/invariants.ts')).proveInvariants(files, settings)
    return
  }
  const most = Number(colosDown)
  if (!/^\d+$/.test(colosDown)) {
    throw inputError('prove.usage', `\`--colos-down\` is a whole number from 0, not \`${colosDown}\``)
  }
  const { proveAllowlists } = await import('../../prove/allowlists.ts')
  const { readSubject } = await import('../../prove/subject.ts')
  for (const file of files) {
    for await (const answer of proveAllowlists(readSubject(file), { ...settings, colosDown: most })) {
      yield { ...answer, config: file }
    }
  }
}

async function compare(files: readonly string[], options: Options, settings: ProveSettings, io: Io): Promise<ExitCode> {
  const [before, after, ...others] = files
  if (before === undefined || after === undefined || others.length > 0) {
    throw inputError('prove.usage', '`--same` takes two files, before and after')
  }
  const { compareFiles, comparisonJson } = await import('../../prove/compare.ts')
  const comparison = await compareFiles(before, after, { ...settings, configFile: options.config })
  if (options.json) writeJson(io, comparisonJson(comparison))
  else io.stdout.write(renderComparison(comparison, stylesFor(io, io.stdout)))
  if (comparison.regions.length > 0) return 1
  return comparison.isSame === undefined && options.allowUndecided !== true ? 3 : 0
}

async function reach(files: readonly string[], options: Options, settings: ProveSettings, io: Io): Promise<ExitCode> {
  const { exploreReach, findingJson } = await import('../../prove/reach.ts')
  const { readSubject } = await import('../../prove/subject.ts')
  const [file = options.config, ...others] = files
  if (others.length > 0)
    throw new InputError([{ severity: 'error', code: 'prove.usage', message: '`--reach` takes one file' }])
  const style = stylesFor(io, io.stdout)
  const found: unknown[] = []
  let isDecided = true
  for await (const finding of exploreReach(readSubject(file), settings)) {
    if (finding.kind === 'undecided') isDecided = false
    if (options.json) found.push(findingJson(finding))
    else io.stdout.write(renderFinding(finding, style))
  }
  if (options.json) writeJson(io, { findings: found })
  return isDecided || options.allowUndecided === true ? 0 : 3
}
