// `rules pull`, `push`, `diff`: copies rules between files, the lab and any API like Cloudflare's. Shows the changes before they
// are applied, and reports exactly what was done when a step fails.

import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { replaceOutput } from '../../config/files.ts'
import { counted } from '../../errors/counted.ts'
import { InputError, inputError } from '../../errors/issue.ts'
import type { ReplayOutcome } from '../../replay/replay.ts'
import type { SideBySide, WrittenSides } from '../../rules-sync/policy-config.ts'
import type { PolicyChanges, PortablePolicy } from '../../rules-sync/portable-policy.ts'
import type { PlanRequest, RulesSync, RulesTargetOptions } from '../../rules-sync/rules-sync.ts'
import { replay } from '../lazy-imports.ts'
import { renderChanges, renderOutcome, stepTitle } from '../render/render-policy-changes.ts'
import { renderComparison } from '../render/render-proof.ts'
import { renderReplay } from '../render/render-replay.ts'
import { printReport, type ReportOptions, withProblemsReported, withReport } from '../render/report.ts'
import { reportOfChanges, reportOfReplay } from '../render/report-of.ts'
import { shellWord } from '../shell-word.ts'
import { type Io, linesOf, PLAIN, stylesFor, type TextStyles, writeJson } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, type VerbContext, wholeNumber, withLab } from '../verb.ts'
import { replayDocument } from './replay.ts'
import { registerRulesHistory, registerRulesList } from './rules-history.ts'

interface PullOptions extends RulesTargetOptions {
  readonly from: string
  readonly format?: 'yaml' | 'json'
}

interface PushOptions extends RulesTargetOptions {
  readonly to: string
  readonly prune: boolean
  readonly dryRun?: true
  readonly yes?: true
}

interface DiffOptions extends RulesTargetOptions, ReportOptions {
  readonly against: string
  readonly prune: boolean
  readonly sides?: string
  readonly replay?: readonly string[]
  readonly failOnChange?: true
  readonly semantic?: true
  readonly timeout: number
}

const PLACES = `
FILE is a configuration, a list of rules, the output of \`rules pull\`, a response of Cloudflare's API (or a slice of one made
with \`jq\`), or Terraform: \`.tf\`, a folder of them, terraform.tfstate, \`terraform show -json\` of a state or a plan. WHERE is a FILE, \`lab\`, \`cloudflare\` or the URL of an API compatible with
Cloudflare's; the last two need CLOUDFLARE_API_TOKEN (or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY).`

export const registerRules: RegisterVerb = (program, context) => {
  const rules = program.command('rules').description('copies and compares rules between files, the lab and Cloudflare')
  const subcommand = (text: string, description: string) =>
    withLab(rules.command(text))
      .description(description)
      .option('--account <id>', 'Cloudflare account (default: CLOUDFLARE_ACCOUNT_ID, else the only account)')
      .addHelpText('after', PLACES)
  subcommand('pull [file]', 'writes rules, with the lists and virtual networks they use, to a file or standard output')
    .option('--from <where>', 'source: `lab`, `cloudflare`, an API URL or a file', 'lab')
    .addOption(
      new Option('--format <format>', 'output format (default: from the file name, else yaml)').choices([
        'yaml',
        'json',
      ]),
    )
    .action(context.action((file: string | undefined, options: PullOptions) => pull(context, file, options)))
  withPrune(subcommand('push <file>', 'applies a file’s rules to a target; shows the changes and asks before applying'))
    .option('--to <where>', 'target: `lab`, `cloudflare` or an API URL', 'lab')
    .option('--dry-run', 'show the changes without applying them')
    .option('--yes', 'apply without asking')
    .action(context.action((file: string, options: PushOptions) => push(context, file, options)))
  withReport(
    withPrune(subcommand('diff <file> [other]', 'shows what `push` would change, or what is different in OTHER')),
  )
    .option('--against <where>', 'target to compare with: `lab`, `cloudflare`, an API URL or a file', 'lab')
    .option('--sides <dir>', 'write the target before and after into this folder, for `replay --rules … --against …`')
    .option(
      '--replay <sessions...>',
      'decide these recorded sessions before and after the change and report the difference',
    )
    .option('--fail-on-change', 'exit 1 if anything would change')
    .option('--semantic', 'prove which of all possible connections would be decided differently')
    .option('--timeout <seconds>', 'with --semantic: give up after this long', wholeNumber, 60)
    .action(
      context.action((file: string, other: string | undefined, options: DiffOptions) => {
        // of two files the first is the target, and everything that the second has not is gone
        const request =
          other === undefined
            ? { from: file, to: options.against, prune: options.prune }
            : { from: other, to: file, prune: true }
        if (options.semantic) return diffSemantically(context, request, options)
        return withProblemsReported(context.io, options, { verb: 'rules diff', subject: other ?? file }, () =>
          diff(context, request, options),
        )
      }),
    )
  registerRulesList(rules, context)
  registerRulesHistory(rules, context)
}

function withPrune(command: Command): Command {
  return command.option('--prune', 'also delete egress rules that are not in the file', false)
}

async function openSync(options: RulesTargetOptions): Promise<RulesSync> {
  const { RulesSync: Sync } = await import('../../rules-sync/rules-sync.ts')
  return new Sync(options)
}

async function pull({ io }: VerbContext, file: string | undefined, options: PullOptions): Promise<ExitCode> {
  const sync = await openSync(options)
  const policy = await sync.read(options.from)
  const form = options.format ?? (options.json || file?.endsWith('.json') ? 'json' : 'yaml')
  const { writeJsonPolicy, writeYamlPolicy } = await import('../../rules-sync/write-policy.ts')
  const { text, notes } = form === 'json' ? writeJsonPolicy(policy) : writeYamlPolicy(policy)
  const style = stylesFor(io, io.stderr)
  for (const note of [...policy.notes, ...notes]) io.stderr.write(`${style.warn(note)}\n`)
  if (file === undefined || file === '-') {
    io.stdout.write(text)
    return 0
  }
  replaceOutput(file, text, 'rules.unwritable')
  const { rules, lists, virtualNetworks } = policy
  const counted = `${many(rules, 'rule')}, ${many(lists, 'list')}, ${many(virtualNetworks, 'virtual network')}`
  if (options.json)
    writeJson(io, { file, rules: rules.length, lists: lists.length, virtual_networks: virtualNetworks.length })
  else io.stdout.write(`wrote ${counted} of ${policy.source} to ${file}\n`)
  return 0
}

function many({ length }: readonly unknown[], what: string): string {
  return `${length} ${what}${length === 1 ? '' : 's'}`
}

async function push({ io }: VerbContext, file: string, options: PushOptions): Promise<ExitCode> {
  const sync = await openSync(options)
  const { isApi } = await import('../../rules-sync/rules-sync.ts')
  if (!isApi(options.to)) throw notAnApi(options.to)
  const style = stylesFor(io, io.stdout)
  const plan = await sync.planPush({ from: file, to: options.to, prune: options.prune })
  const { changes, before, problems } = plan
  if (!options.json) io.stdout.write(renderChanges(changes, style))
  if (problems.length > 0) throw new InputError(problems)
  if (options.dryRun || changes.steps.length === 0) {
    if (options.json) writeJson(io, { ...changes, done: [], failed: null, not_done: changes.steps })
    return 0
  }
  if (!options.yes && !(await agrees(io, changes, options))) {
    io.stderr.write('nothing was changed\n')
    return 1
  }
  let nth = 0
  const outcome = await sync.apply(plan, options.to, (step) => {
    nth++
    const count = io.stdout.isTerminal ? style.dim(`${nth} of ${changes.steps.length}  `) : ''
    if (!options.json) io.stdout.write(`${style.good('done')}  ${count}${stepTitle(step, style)}\n`)
  })
  const { done, failed, notDone, undone = [], stays = [], undoFailed } = outcome
  const putBack = undoFailed === undefined ? undefined : await keepBefore(before, options.to)
  if (options.json) {
    const undoing = failed === undefined ? {} : { undone, stays, put_back: putBack ?? null }
    writeJson(io, { ...changes, done, failed: failed ?? null, not_done: notDone, ...undoing })
  } else if (failed === undefined) io.stdout.write(renderOutcome(outcome, style))
  if (failed !== undefined) io.stderr.write(renderOutcome(outcome, stylesFor(io, io.stderr), putBack))
  return failed === undefined ? 0 : 1
}

/** Both sides with the same configuration around them, compared for every connection. */
async function diffSemantically({ io }: VerbContext, request: PlanRequest, given: DiffOptions): Promise<ExitCode> {
  const { asSidesOf, inScratch, kindOfFile } = await import('../../rules-sync/policy-config.ts')
  // a configuration has an account of its own
  const hasAccount = existsSync(request.to) && kindOfFile(request.to) === 'configuration'
  const options = hasAccount ? { ...given, config: request.to } : given
  const sync = await openSync(options)
  const { compareFiles, comparisonJson } = await import('../../prove/compare.ts')
  const { notes } = await sync.plan(request)
  const comparison = await inScratch(async (folder) => {
    const sides = await sync.writeSides(request, options.sides ?? folder)
    const style = stylesFor(io, io.stderr)
    for (const note of [...notes, ...(sides.assumed ?? [])]) io.stderr.write(`${style.warn(note)}\n`)
    const settings = { configFile: options.config, timeoutMs: options.timeout * 1000 }
    return asSidesOf(sides, placesOf(request), () => compareFiles(sides.before, sides.after, settings))
  })
  if (options.json) writeJson(io, comparisonJson(comparison))
  else io.stdout.write(renderComparison(comparison, stylesFor(io, io.stdout)))
  if (comparison.isSame === undefined) return 3
  return options.failOnChange && !comparison.isSame ? 1 : 0
}

/** Keeps the target as it was in a file; answers the command that restores it. */
async function keepBefore(before: PortablePolicy, to: string): Promise<string> {
  const { writeJsonPolicy } = await import('../../rules-sync/write-policy.ts')
  const file = 'rules-before-push.json'
  replaceOutput(file, writeJsonPolicy(before).text, 'rules.unwritable')
  return `egresslab rules push ${file} --to ${shellWord(to)} --prune`
}

async function diff({ io }: VerbContext, request: PlanRequest, options: DiffOptions): Promise<ExitCode> {
  const sync = await openSync(options)
  const planned = await sync.plan(request)
  const sides = options.sides === undefined ? undefined : await sync.writeSides(request, options.sides)
  const replayed = await replaySides(sync, request, options)
  const assumed = sides?.assumed ?? replayed?.assumed ?? []
  const changes = { ...planned, notes: [...planned.notes, ...assumed] }
  const isStrict = options.failOnChange === true
  const titles = { before: changes.to, after: `${changes.to}, changed`, againstRecording: false }
  const replayReport =
    replayed === undefined ? undefined : reportOfReplay(replayed, titles, { isStrict, tooLittle: undefined })
  const textOf = (style: TextStyles) => {
    const command =
      sides === undefined ? '' : `egresslab replay SESSIONS --rules ${sides.before} --against ${sides.after}\n`
    const sessions = replayed === undefined ? '' : `\n${renderReplay(replayed, titles, style)}`
    return `${renderChanges(changes, style)}${command}${sessions}`
  }
  await printReport(io, options, {
    report: reportOfChanges(changes, request.from, isStrict, replayReport),
    text: () => textOf(stylesFor(io, io.stdout)),
    plain: () => textOf(PLAIN),
    json: () => ({
      ...changes,
      sides: sides === undefined ? null : { before: sides.before, after: sides.after },
      ...(replayed === undefined ? {} : { replay: replayDocument(replayed) }),
    }),
  })
  return options.failOnChange && changes.steps.length > 0 ? 1 : 0
}

/** Both sides decide the same sessions, in a folder that is gone afterwards. */
async function replaySides(
  sync: RulesSync,
  request: PlanRequest,
  options: DiffOptions,
): Promise<(ReplayOutcome & Pick<WrittenSides, 'assumed'>) | undefined> {
  const { replay: sessions, config: configFile } = options
  if (sessions === undefined) return undefined
  const { asSidesOf, inScratch } = await import('../../rules-sync/policy-config.ts')
  return inScratch(async (folder) => {
    const sides = await sync.writeSides(request, folder)
    const { before: rules, after: against, assumed } = sides
    const run = () => replay({ sessions, configFile, rules, against, threads: 1 })
    return { ...(await asSidesOf(sides, placesOf(request), run)), assumed }
  })
}

function placesOf({ from, to }: PlanRequest): SideBySide {
  return { before: to, after: from }
}

/** Asked on a terminal only: a script has to say `--yes`. */
async function agrees(io: Io, { steps, to }: PolicyChanges, { json }: PushOptions): Promise<boolean> {
  if (json || !io.stdout.isTerminal) {
    const message = `${counted(steps.length, 'change')} to ${to} ${steps.length === 1 ? 'needs' : 'need'} confirmation, but there is no terminal`
    const hint = 'pass `--yes` to apply them, or `--dry-run` to only show them'
    throw inputError('rules.not_confirmed', message, { hint })
  }
  io.stdout.write(`Apply ${steps.length === 1 ? 'this change' : `these ${steps.length} changes`} to ${to}? [y/N] `)
  for await (const { line } of linesOf(io.stdin)) return /^y(es)?$/i.test(line.trim())
  return false
}

function notAnApi(to: string): InputError {
  const message = `cannot push to \`${to}\``
  const hint =
    '`--to` takes `lab`, `cloudflare` or an API URL such as `http://127.0.0.1:8090/client/v4`; use `rules pull` to write files'
  return inputError('rules.not_an_api', message, { hint })
}
