// `prove`: answers questions about every connection with a solver: invariants, allowlists, what rules are good for,
// whether two policies are the same. What is refuted comes with a connection that shows it.

import { existsSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import type { Expectation } from '../../analysis/policy-test.ts'
import { writeOutput } from '../../config/files.ts'
import type { Decider } from '../../decider/decider.ts'
import { counted } from '../../errors/counted.ts'
import { InputError, inputError } from '../../errors/issue.ts'
import {
  type Answer,
  type AskedWitness,
  answerJson,
  askedOf,
  exitCodeOfAnswers,
  explainArguments,
  testsOfAnswers,
} from '../../prove/answer.ts'
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
import { createProgressBar, type Io, stylesFor, writeJson } from '../terminal.ts'
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
  readonly writeTests?: string
}

export const registerProve: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('prove [files...]')))
    .description('proves statements about every connection, or shows one that breaks them; sends no traffic')
    .addHelpText('after', '\nFILES are configurations or policy tests with `invariants` (default: the configuration).')
    .option(
      '--allowlists',
      'prove that every service with an allowlist lets in every group, from every virtual network',
    )
    .option('--colos-down <n>', 'with --allowlists: number of data centers that may be down at once', '1')
    .option('--reach', 'find rules that decide nothing, or only in outages, and connections that no rule decides')
    .option('--same', 'prove that the two policies in FILES decide every connection alike')
    .option('--timeout <seconds>', 'give up on a question after this long', wholeNumber, 30)
    .option('--allow-undecided', 'exit 0 even if a question was not decided')
    .option('--junit <file>', 'write a JUnit report of the answers to this file')
    .option('--sarif <file>', 'write a SARIF report of the answers to this file')
    .option('--write-tests <file>', 'write each counterexample as a policy test to this new file')
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
  if (options.writeTests !== undefined) refuseExisting(options.writeTests)
  const asked = files.length === 0 ? [options.config] : files
  const style = stylesFor(io, io.stdout)
  const progress = createProgressBar(io, 'proving')
  const again = new Reproduced()
  const told: Answer[] = []
  let left = 0
  const onProgress = (answered: number, questions: number) => {
    left = questions - answered
    if (left > 0) progress.show(answered / questions)
  }
  let vacuous: InputError | undefined
  try {
    for await (const answer of asking(asked, options, { ...settings, onProgress })) {
      progress.clear()
      told.push(answer)
      const command = await again.commandFor(answer)
      if (!options.json) io.stdout.write(renderAnswer(answer, style, command))
    }
  } catch (thrown) {
    if (!(thrown instanceof InputError) || thrown.issues.some(({ code }) => code !== 'prove.vacuous')) throw thrown
    vacuous = thrown
  } finally {
    progress.clear()
    await again.close()
  }
  if (options.junit !== undefined) {
    writeOutput(options.junit, junitOfAnswers(told, options.allowUndecided), 'prove.unwritable')
  }
  if (options.sarif !== undefined) writeOutput(options.sarif, sarifOfAnswers(told), 'prove.unwritable')
  if (options.writeTests !== undefined) again.writeTests(options.writeTests, io)
  const problems = vacuous?.issues ?? []
  if (options.json) writeJson(io, { answers: told.map(answerJson), problems, not_asked: left })
  else if (told.length + left > 0) io.stdout.write(renderTally(told, style, left))
  if (vacuous !== undefined) throw vacuous
  return exitCodeOfAnswers(told, options.allowUndecided)
}

function refuseExisting(file: string): void {
  if (existsSync(file)) throw inputError('prove.exists', `\`${file}\` exists; \`--write-tests\` writes a new file`)
}

/** What shows refuted answers again: commands, and policy tests. */
class Reproduced {
  readonly #deciders = new Map<string, Promise<Decider>>()
  readonly #found: { readonly config: string; readonly name: string; flow: AskedWitness; expect: Expectation }[] = []
  #withoutTest = 0

  /** Undefined for what is not refuted, and for connections that `explain` cannot be asked about. */
  async commandFor({ name, config, witness, expected }: FiledAnswer): Promise<readonly string[] | undefined> {
    if (witness === null) return undefined
    const decider = this.#deciders.get(config) ?? openDecider({ configFile: config })
    this.#deciders.set(config, decider)
    const flow = await askedOf(await decider, witness)
    if (flow === undefined || expected === undefined) this.#withoutTest++
    else this.#found.push({ config, name, flow, expect: expected })
    const named = config === defaultConfig() ? [] : ['-c', config]
    return flow && [...explainArguments(flow), ...named]
  }

  /** Throws an InputError where the answers are about several configurations. */
  writeTests(file: string, io: Io): void {
    const [first] = this.#found
    if (this.#found.some(({ config }) => config !== first?.config)) {
      throw inputError('prove.usage', '`--write-tests` takes answers about one configuration')
    }
    if (first !== undefined) {
      const config = relative(dirname(resolve(file)), resolve(first.config))
      writeOutput(file, testsOfAnswers(config, this.#found), 'prove.unwritable')
    }
    const without = this.#withoutTest === 0 ? '' : `; ${this.#withoutTest} cannot be written as one`
    io.stderr.write(`${counted(this.#found.length, 'policy test')} written to ${file}${without}\n`)
  }

  async close(): Promise<void> {
    for (const decider of this.#deciders.values()) (await decider).close()
  }
}

type FiledAnswer = Answer & { readonly config: string }

async function* asking(
  files: readonly string[],
  { allowlists, colosDown }: Options,
  settings: ProveSettings,
): AsyncGenerator<FiledAnswer> {
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
  const progress = createProgressBar(io, 'proving')
  const onProgress = (done: number, all: number) => progress.show(done / all)
  for await (const finding of exploreReach(readSubject(file), { ...settings, onProgress })) {
    progress.clear()
    if (finding.kind === 'undecided') isDecided = false
    if (options.json) found.push(findingJson(finding))
    else io.stdout.write(renderFinding(finding, style))
  }
  progress.clear()
  if (options.json) writeJson(io, { findings: found })
  return isDecided || options.allowUndecided === true ? 0 : 3
}
