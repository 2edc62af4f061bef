// `rules history`, `show`, `restore`: the revisions of rules and lists that the running lab keeps, and the way back to one.

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

const MOST_NAMED = 3

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
    .description('prints the rules of a kept revision as JSON, in the form of Cloudflare’s API; with --json lists too')
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
    .description('makes rules and lists what they were in a kept revision, in one step, which is a new revision')
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
