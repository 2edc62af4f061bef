// `colo list`, `colo down`, `colo up`: the data centers that matter here, with their dedicated IPs; takes one out of the running
// lab, or back.

import type { Command } from 'commander'
import type { LabSnapshot } from '../../config/lab-state.ts'
import type { LabAddressOptions } from '../../lab/lab-client.ts'
import { askLabOrDecider } from '../ask-lab.ts'
import { connectLab } from '../lazy-imports.ts'
import { type Io, renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, type VerbContext, withLab } from '../verb.ts'

interface ListOptions extends LabAddressOptions {
  readonly all: boolean
}

interface ColoRow {
  readonly code: string
  readonly city: string
  readonly country: string
  readonly up: boolean
  /** `-` where there is none */
  readonly dedicated: readonly { readonly ipv4: string; readonly ipv6: string }[]
}

export const registerColo: RegisterVerb = (program, context) => {
  const { io, action } = context
  const colo = program.command('colo').description('lists data centers, takes them down and brings them back')
  withLab(colo.command('list'))
    .description('lists data centers with their dedicated IPs')
    .option('--all', 'include data centers without a dedicated IP', false)
    .action(
      action(async (options: ListOptions) => {
        const rows = await askLabOrDecider(context, options, {
          ask: async (lab) => rowsFrom(await lab.ask('GET', `/lab/v1/colos?all=${options.all}`)),
          look: ({ snapshot }) => coloRows(snapshot, options.all),
        })
        if (options.json) writeJson(io, rows)
        else io.stdout.write(renderRows(rows, io))
        return 0
      }),
    )
  registerSwitch(colo, context, 'down', 'takes a data center down in the running lab')
  registerSwitch(colo, context, 'up', 'brings a data center back up')
}

interface SwitchOptions extends LabAddressOptions {
  readonly reset?: true
}

/** What happened to the open connections that depend on a data center. */
interface Connections {
  readonly kept: number
  readonly reset: number
}

function registerSwitch(colo: Command, { io, action }: VerbContext, word: 'down' | 'up', what: string): void {
  const command = withLab(colo.command(`${word} <code>`)).description(what)
  if (word === 'down') command.option('--reset', 'reset open connections that depend on it (default: keep them)')
  command.action(
    action(async (code: string, options: SwitchOptions) => {
      const lab = await connectLab(options)
      const path = `/lab/v1/colos/${encodeURIComponent(code)}`
      const wish = options.reset === true ? { connections: 'reset' } : {}
      const answer = await lab.ask('PUT', path, { up: word === 'up', ...wish })
      const { connections } = answer as { readonly connections?: Connections }
      const [row] = rowsFrom([answer])
      if (options.json) writeJson(io, connections === undefined ? row : { ...row, connections })
      else
        io.stdout.write(`${row?.code} (${row?.city}) is ${row?.up === true ? 'up' : 'down'}${inWords(connections)}\n`)
      return 0
    }),
  )
}

function inWords({ kept, reset }: Connections = { kept: 0, reset: 0 }): string {
  if (kept + reset === 0) return ''
  const counted = `${kept + reset} open connection${kept + reset === 1 ? '' : 's'}`
  return kept > 0 ? `; ${counted} kept (use --reset to close them)` : `; ${counted} reset`
}

function renderRows(rows: readonly ColoRow[], io: Io): string {
  const style = stylesFor(io, io.stdout)
  const cells = rows.map(({ code, city, country, up, dedicated }) => {
    const state = up ? style.good('up') : style.bad('down')
    return [code, state, `${city}, ${country}`, dedicated.map(({ ipv4, ipv6 }) => `${ipv4} ${ipv6}`).join('; ')]
  })
  return renderTable([['COLO', 'STATE', 'CITY', 'DEDICATED IPS'].map(style.dim), ...cells])
}

/** Rows of the API under this command's own field names. */
function rowsFrom(answer: unknown): ColoRow[] {
  const rows = answer as (Omit<ColoRow, 'dedicated'> & {
    readonly dedicated_ips: readonly { readonly ipv4: string | null; readonly ipv6: string | null }[]
  })[]
  return rows.map(({ code, city, country, up, dedicated_ips: owned }) => ({
    code,
    city,
    country,
    up,
    dedicated: owned.map(({ ipv4, ipv6 }) => ({ ipv4: ipv4 ?? '-', ipv6: ipv6 ?? '-' })),
  }))
}

function coloRows({ account }: LabSnapshot, all: boolean): ColoRow[] {
  const rows = [...account.colos.values()].map(({ code, city, country }) => ({
    code,
    city,
    country,
    up: !account.colosDown.has(code),
    dedicated: account.dedicatedIps
      .filter(({ colo }) => colo === code)
      .map(({ ipv4, ipv6 }) => ({ ipv4: ipv4?.address.text ?? '-', ipv6: ipv6?.range.text ?? '-' })),
  }))
  return all ? rows : rows.filter(({ up, dedicated }) => !up || dedicated.length > 0)
}
