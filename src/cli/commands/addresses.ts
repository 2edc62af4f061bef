// `addresses check`, `up`, `down`: are the addresses the lab binds on this machine, and are its public ones? Adds what is missing,
// with root, and takes exactly that away again.

import type { Command } from 'commander'
import { type InputError, inputError } from '../../errors/issue.ts'
import type { AddressRow, HostAddresses, MachineChanges } from '../../host-addresses/host-addresses.ts'
import { openHostAddresses } from '../lazy-imports.ts'
import { type Io, renderTable, stylesFor, writeJson } from '../terminal.ts'
import { DEFAULT_STATE, type RegisterVerb, type VerbContext, withConfig, withJson } from '../verb.ts'

interface ConfigOption {
  readonly config: string
}

interface ChangeOptions extends ConfigOption {
  readonly state: string
  readonly dryRun: boolean
}

interface UpOptions extends ChangeOptions {
  readonly shared: boolean
}

export const registerAddresses: RegisterVerb = (program, context) => {
  const { io, action } = context
  const addresses = program
    .command('addresses')
    .description('checks, adds and removes the local addresses that the lab binds')
  withJson(withConfig(addresses.command('check')))
    .description('tries to bind every address: those the lab needs and the public dedicated IPs')
    .action(
      action(async ({ config, json }: ConfigOption & { readonly json?: true }) => {
        const rows = await (await openHostAddresses(config)).check()
        const lacking = rows.filter(({ needed, bindable }) => needed && !bindable)
        if (json) writeJson(io, { complete: lacking.length === 0, addresses: rows })
        else io.stdout.write(`${renderRows(rows, io)}\n${verdict(rows)}\n`)
        return lacking.length === 0 ? 0 : 1
      }),
    )
  registerUp(addresses, context)
  registerDown(addresses, context)
}

function registerUp(addresses: Command, { io, action }: VerbContext): void {
  withChanges(addresses.command('up'))
    .description('adds the dedicated IPv4 addresses and IPv6 ranges to this machine (root); prints each command')
    .option('--shared', 'also the addresses of shared egress', false)
    .action(
      action(async ({ config, state, shared, dryRun }: UpOptions) => {
        const host = await openHostAddresses(config)
        const plan = await host.planUp({ shared })
        for (const { prefix, why } of plan.impossible) io.stderr.write(`left out \`${prefix}\`: ${why}\n`)
        if (plan.changes.length === 0) io.stdout.write(`${nothingToAdd(plan)}\n`)
        else if (dryRun) io.stdout.write(lines(plan.changes.map(({ command }) => command)))
        else await change(host, plan, { state, shared }, io)
        return 0
      }),
    )
}

async function change(
  host: HostAddresses,
  { changes }: MachineChanges,
  options: { readonly state: string; readonly shared: boolean },
  io: Io,
): Promise<void> {
  const commands = changes.map(({ command }) => command)
  if (!host.isRoot) throw needsRoot('add addresses', commands)
  await host.up(options, (command) => io.stdout.write(`${command}\n`))
  io.stdout.write('done; labs started from now on bind them. `egresslab addresses down` removes them\n')
}

function registerDown(addresses: Command, { io, action }: VerbContext): void {
  withChanges(addresses.command('down'))
    .description('removes what `addresses up` added, and nothing else (root)')
    .action(
      action(async ({ config, state, dryRun }: ChangeOptions) => {
        const host = await openHostAddresses(config)
        const commands = host.planDown(state)
        if (dryRun) io.stdout.write(lines(commands))
        else if (commands.length > 0 && !host.isRoot) throw needsRoot('remove addresses', commands)
        else await host.down(state, (command) => io.stdout.write(`${command}\n`))
        if (commands.length === 0) io.stdout.write('nothing to remove: no address that `addresses up` added is left\n')
        return 0
      }),
    )
}

function withChanges(command: Command): Command {
  return withConfig(command)
    .option('--state <dir>', 'folder that records what was added', DEFAULT_STATE)
    .option('--dry-run', 'print the commands without running them', false)
}

function needsRoot(what: string, commands: readonly string[]): InputError {
  const message = `only root can ${what}: run this with sudo, or run ${commands.length === 1 ? 'this' : 'these'}`
  const drawing = commands.map((command) => `sudo ${command}`).join('\n')
  const hint = '`egresslab shell` needs no root: it runs in a network namespace that has the addresses.'
  return inputError('address.needs_root', message, { drawing, hint })
}

function nothingToAdd({ impossible }: MachineChanges): string {
  return impossible.length === 0 ? 'nothing to add: this machine has every address already' : 'nothing can be added'
}

function lines(commands: readonly string[]): string {
  return commands.map((command) => `${command}\n`).join('')
}

function renderRows(rows: readonly AddressRow[], io: Io): string {
  const style = stylesFor(io, io.stdout)
  const cells = rows.map(({ use, public: known, where, binds, needed, bindable, by }) => {
    const here = bindable ? style.good('yes') : needed ? style.bad('no') : style.dim('no')
    return [use, known, where || '-', binds === known ? 'itself' : binds, needed ? 'yes' : '-', here, by ?? '-']
  })
  const head = ['USE', 'PUBLIC', 'WHERE', 'BINDS', 'NEEDED', 'HERE', 'BY'].map(style.dim)
  return renderTable([head, ...cells])
}

function verdict(rows: readonly AddressRow[]): string {
  const lacking = rows.filter(({ needed, bindable }) => needed && !bindable)
  if (lacking.length > 0) {
    const problems = lacking.map(({ problem }) => `- ${problem}\n`).join('')
    return `the lab cannot start on this machine:\n${problems}\`egresslab addresses up\` (root) adds what is missing; \`--dry-run\` shows how`
  }
  const real = rows.filter(({ use, needed, bindable }) => use === 'dedicated' && !needed && !bindable)
  if (real.length === 0) return 'this machine has every address the lab binds'
  return 'this machine has every address the lab binds; to use the public addresses themselves, run `egresslab addresses up` (root) or `egresslab shell`'
}
