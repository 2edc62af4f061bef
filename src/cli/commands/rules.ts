// `rules pull`, `push`, `diff`: rules between files, the lab, and any other API that speaks Cloudflare's. Shows what would change
// before anything does, and never leaves off halfway without saying so.

import { type Command, Option } from 'commander'
import type { PolicyChanges } from '../../config/portable-policy.ts'
import { replaceOutput } from '../../config/write-output.ts'
import { counted } from '../../errors/counted.ts'
import { type InputError, inputError } from '../../errors/issue.ts'
import type { ReplayOutcome } from '../../replay/replay.ts'
import type { PlanRequest, RulesSync, RulesTargetOptions } from '../../rules-sync/rules-sync.ts'
import { replay } from '../lazy-imports.ts'
import { renderChanges, renderOutcome, stepTitle } from '../render/render-policy-changes.ts'
import { renderReplay } from '../render/render-replay.ts'
import { type Io, linesOf, stylesFor, writeJson } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, type VerbContext, withLab } from '../verb.ts'
import { replayDocument } from './replay.ts'

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

interface DiffOptions extends RulesTargetOptions {
  readonly against: string
  readonly prune: boolean
  readonly sides?: string
  readonly replay?: readonly string[]
  readonly failOnChange?: true
}

const PLACES = `
FILE is a configuration, a list of rules, what \`rules pull\` wrote, an answer of Cloudflare's API, or Terraform's JSON
(\`terraform show -json\`, of a state or a plan). WHERE is a FILE, \`lab\`, \`cloudflare\` or the address of an API that
speaks Cloudflare's; for these two CLOUDFLARE_API_TOKEN (or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY) logs in.`

export const registerRules: RegisterVerb = (program, context) => {
  const rules = program.command('rules').description('rules from and to files, the lab and Cloudflare')
  const verb = (text: string, description: string) =>
    withLab(rules.command(text))
      .description(description)
      .option('--account <id>', 'account at Cloudflare (default: CLOUDFLARE_ACCOUNT_ID, or the only one there is)')
      .addHelpText('after', PLACES)
  verb('pull [file]', 'writes rules, and the lists and virtual networks they speak of, to a file or standard output')
    .option('--from <where>', 'where they are', 'lab')
    .addOption(new Option('--format <format>', 'default: by the name of the file, else yaml').choices(['yaml', 'json']))
    .action(context.action((file: string | undefined, options: PullOptions) => pull(context, file, options)))
  withPrune(verb('push <file>', 'makes a place say what a file says; shows the changes and asks first'))
    .option('--to <where>', 'where to', 'lab')
    .option('--dry-run', 'show what would change, and stop')
    .option('--yes', 'do not ask')
    .action(context.action((file: string, options: PushOptions) => push(context, file, options)))
  withPrune(verb('diff <file>', 'shows in words what `push` would change'))
    .option('--against <where>', 'what it is compared with', 'lab')
    .option('--sides <dir>', 'write both sides there as configurations, for `replay --rules … --against …`')
    .option(
      '--replay <sessions...>',
      'decide these recorded sessions before and after, and tell what would change for them',
    )
    .option('--fail-on-change', 'exit 1 when anything would change')
    .action(context.action((file: string, options: DiffOptions) => diff(context, file, options)))
}

function withPrune(command: Command): Command {
  return command.option('--prune', 'delete egress rules that the file does not have', false)
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
  else io.stdout.write(`${counted} of ${policy.source} are in ${file}\n`)
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
  const changes = await sync.plan({ from: file, to: options.to, prune: options.prune })
  if (!options.json) io.stdout.write(renderChanges(changes, style))
  if (options.dryRun || changes.steps.length === 0) {
    if (options.json) writeJson(io, { ...changes, done: [], failed: null, not_done: changes.steps })
    return 0
  }
  if (!options.yes && !(await agrees(io, changes, options))) {
    io.stderr.write('nothing was changed\n')
    return 1
  }
  const outcome = await sync.apply(changes, options.to, (step) => {
    if (!options.json) io.stdout.write(`${style.good('done')}  ${stepTitle(step, style)}\n`)
  })
  const { done, failed, notDone } = outcome
  if (options.json) writeJson(io, { ...changes, done, failed: failed ?? null, not_done: notDone })
  else if (failed === undefined) io.stdout.write(renderOutcome(outcome, style))
  if (failed !== undefined) io.stderr.write(renderOutcome(outcome, stylesFor(io, io.stderr)))
  return failed === undefined ? 0 : 1
}

async function diff({ io }: VerbContext, file: string, options: DiffOptions): Promise<ExitCode> {
  const sync = await openSync(options)
  const request: PlanRequest = { from: file, to: options.against, prune: options.prune }
  const changes = await sync.plan(request)
  const sides = options.sides === undefined ? undefined : await sync.writeSides(request, options.sides)
  const replayed = await replaySides(sync, request, options)
  if (options.json) {
    writeJson(io, {
      ...changes,
      sides: sides ?? null,
      ...(replayed === undefined ? {} : { replay: replayDocument(replayed) }),
    })
  } else {
    io.stdout.write(renderChanges(changes, stylesFor(io, io.stdout)))
    if (sides !== undefined)
      io.stdout.write(`egresslab replay SESSIONS --rules ${sides.before} --against ${sides.after}\n`)
    if (replayed !== undefined) {
      const titles = { before: changes.to, after: `${changes.to}, changed` }
      io.stdout.write(`\n${renderReplay(replayed, titles, stylesFor(io, io.stdout))}`)
    }
  }
  return options.failOnChange && changes.steps.length > 0 ? 1 : 0
}

/** Both sides decide the same sessions, in a folder that is gone afterwards. */
async function replaySides(
  sync: RulesSync,
  request: PlanRequest,
  options: DiffOptions,
): Promise<ReplayOutcome | undefined> {
  const { replay: sessions, config: configFile } = options
  if (sessions === undefined) return undefined
  const { inScratch } = await import('../../rules-sync/rules-sync.ts')
  return inScratch(async (folder) => {
    const { before: rules, after: against } = await sync.writeSides(request, folder)
    return replay({ sessions, configFile, rules, against, threads: 1 })
  })
}

/** Asked on a terminal only: a script has to say `--yes`. */
async function agrees(io: Io, { steps, to }: PolicyChanges, { json }: PushOptions): Promise<boolean> {
  if (json || !io.stdout.isTerminal) {
    const message = `${counted(steps.length, 'change')} at ${to} ${steps.length === 1 ? 'waits' : 'wait'} for a yes, and nobody can be asked here`
    const hint = 'say `--yes` to make them, or `--dry-run` to see them only'
    throw inputError('rules.not_confirmed', message, { hint })
  }
  io.stdout.write(`Make ${steps.length === 1 ? 'this change' : `these ${steps.length} changes`} at ${to}? [y/N] `)
  for await (const { line } of linesOf(io.stdin)) return /^y(es)?$/i.test(line.trim())
  return false
}

function notAnApi(to: string): InputError {
  const message = `\`${to}\` is no place to push to`
  const hint =
    '`--to` is `lab`, `cloudflare` or an address such as `http://127.0.0.1:8090/client/v4`; `rules pull` writes files'
  return inputError('rules.not_an_api', message, { hint })
}
