// `audit`: who changed what in the running lab, when and from where; newest first.

import type { LabAddressOptions } from '../../lab/lab-client.ts'
import type { AuditEntry } from '../../store/audit-log.ts'
import { connectLab } from '../lazy-imports.ts'
import { renderTable, stylesFor } from '../terminal.ts'
import { type RegisterVerb, wholeNumber, withLab } from '../verb.ts'

interface AuditOptions extends LabAddressOptions {
  readonly limit: number
  readonly who?: string
  readonly kind?: string
  readonly id?: string
  readonly since?: string
}

export const registerAudit: RegisterVerb = (program, { io, action }) => {
  withLab(program.command('audit'))
    .description(
      'shows who changed what, when and from where; with --json one change per line, with the values before and after',
    )
    .option('--limit <n>', 'number of entries, at most 1000', wholeNumber, 20)
    .option('--who <name>', 'only changes by this token or user')
    .option('--kind <kind>', 'only changes to this kind of thing, such as `rule` or `token`')
    .option('--id <id>', 'only changes to the thing with this id')
    .option('--since <time>', 'only changes from this time on, such as `2026-11-30` or `2026-11-30T09:00:00Z`')
    .action(
      action(async ({ limit, who, kind, id, since, ...options }: AuditOptions) => {
        const query = new URLSearchParams({ limit: String(limit) })
        for (const [name, value] of Object.entries({ who, kind, id, since }))
          if (value !== undefined) query.set(name, value)
        const entries = (await (await connectLab(options)).ask('GET', `/lab/v1/audit?${query}`)) as AuditEntry[]
        if (options.json) for (const entry of entries) io.stdout.write(`${JSON.stringify(entry)}\n`)
        else {
          const heads = ['WHEN', 'WHO', 'FROM', 'REVISION', 'WHAT'].map(stylesFor(io, io.stdout).dim)
          const cells = entries.map(({ at, who: { name, role }, from, revision, ...rest }) => [
            at,
            role === null ? name : `${name} (${role})`,
            from,
            String(revision),
            inWords(rest),
          ])
          io.stdout.write(renderTable([heads, ...cells]))
        }
        return 0
      }),
    )
}

const MOST_NAMED = 3

function inWords({
  action,
  target,
  changes,
  changes_left_out: left,
}: Pick<AuditEntry, 'action' | 'target' | 'changes' | 'changes_left_out'>) {
  if (changes.length === 0) return target === '' ? action : `${action.split(' ')[0]} ${target}`
  const named = changes.slice(0, MOST_NAMED).map(({ kind, id, action: done }) => `${kind}/${id} ${done}`)
  const more = changes.length + left - named.length
  return named.join(', ') + (more > 0 ? ` and ${more} more` : '')
}
