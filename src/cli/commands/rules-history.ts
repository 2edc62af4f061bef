// `rules list`: what each rule of the running lab decided, and since when one is unused. `rules history`, `show`, `restore`: the
// revisions of rules and lists that the lab keeps, and the way back to one.

import type { Command } from 'commander'
import type { LabAddressOptions } from '../../lab/lab-client.ts'
import { connectLab } from '../lazy-imports.ts'
import { renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type VerbContext, wholeNumber, withLab } from '../verb.ts'

interface RevisionRow {
  readonly revision: number
  readonly at: string
  readonly current: boolean
  readonly rules: number
  readonly lists: number
  readonly changes: readonly { readonly what: string; readonly id: string; readonly name: string }[]
}

interface RuleCountRow {
  readonly precedence: number
  readonly name: string
  readonly sessions: number
  /** RFC 3339 */
  readonly last_used: string | null
  readonly since: string
}

const MOST_NAMED = 3

/** Adds `rules list`. */
export function registerRulesList(rules: Command, { io, action }: VerbContext): void {
  withLab(rules.command('list'))
    .description('lists the lab’s rules in order, with the sessions each decided, or since when it has been unused')
    .option('--unused', 'only rules that decided no session')
    .action(
      action(async (options: LabAddressOptions & { readonly unused?: true }) => {
        const all = (await (await connectLab(options)).ask('GET', '/lab/v1/counters')) as RuleCountRow[]
        const rows = options.unused ? all.filter(({ sessions }) => sessions === 0) : all
        if (options.json) writeJson(io, rows)
        else {
          const heads = ['PRECEDENCE', 'RULE', 'SESSIONS', 'LAST USED'].map(stylesFor(io, io.stdout).dim)
          const cells = rows.map(({ precedence, name, sessions, last_used: last, since }) => [
            String(precedence),
            name,
            String(sessions),
            last ?? `not since ${since}`,
          ])
          io.stdout.write(renderTable([heads, ...cells]))
        }
        return 0
      }),
    )
}

/** Adds them to `rules`. */
export function registerRulesHistory(rules: Command, { io, action }: VerbContext): void {
  withLab(rules.command('history'))
    .description('lists the revisions of rules and lists that the lab keeps, newest first, with what each changed')
    .action(
      action(async (options: LabAddressOptions) => {
        const rows = (await (await connectLab(options)).ask('GET', '/lab/v1/rules/revisions')) as RevisionRow[]
        if (options.json) writeJson(io, rows)
        else {
          const heads = ['REVISION', 'SINCE', 'RULES', 'LISTS', 'WHAT CHANGED'].map(stylesFor(io, io.stdout).dim)
          const cells = rows.map((row) => [
            row.current ? `${row.revision} (in force)` : String(row.revision),
            row.at,
            String(row.rules),
            String(row.lists),
            inWords(row.changes),
          ])
          io.stdout.write(renderTable([heads, ...cells]))
        }
        return 0
      }),
    )
  withLab(rules.command('show').argument('<revision>', 'a number of `rules history`', wholeNumber))
    .description(
      'prints the rules of a kept revision as JSON, in the form of Cloudflare’s API; with --json, the lists as well',
    )
    .action(
      action(async (revision: number, options: LabAddressOptions) => {
        const kept = (await (await connectLab(options)).ask('GET', `/lab/v1/rules/revisions/${revision}`)) as {
          readonly rules: readonly unknown[]
        }
        writeJson(io, options.json ? kept : kept.rules)
        return 0
      }),
    )
  withLab(rules.command('restore').argument('<revision>', 'a number of `rules history`', wholeNumber))
    .description('restores rules and lists to a kept revision, in one step, as a new revision')
    .action(
      action(async (revision: number, options: LabAddressOptions) => {
        const lab = await connectLab(options)
        const answer = (await lab.ask('POST', `/lab/v1/rules/revisions/${revision}/restore`, {})) as {
          readonly revision: number
          readonly changed: boolean
        }
        if (options.json) writeJson(io, answer)
        else if (answer.changed)
          io.stdout.write(`rules and lists are as in revision ${revision} (now revision ${answer.revision})\n`)
        else io.stdout.write(`rules and lists are as in revision ${revision} already\n`)
        return 0
      }),
    )
}

function inWords(changes: RevisionRow['changes']): string {
  const named = changes.slice(0, MOST_NAMED).map(({ what, name }) => `${what} \`${name}\``)
  const more = changes.length - named.length
  return named.join(', ') + (more > 0 ? ` and ${more} more` : '')
}
