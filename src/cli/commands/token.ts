// `token create`, `list`, `revoke`: named tokens for the people and programs that share the running lab, each with a role and an end.

import { type Command, Option } from 'commander'
import { ROLES, type Role } from '../../config/lab-state.ts'
import { inputError } from '../../errors/issue.ts'
import type { LabAddressOptions } from '../../lab/lab-client.ts'
import { connectLab } from '../lazy-imports.ts'
import { renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, type VerbContext, withLab } from '../verb.ts'

interface CreateOptions extends LabAddressOptions {
  readonly role: Role
  readonly expires: string
}

interface TokenRow {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly created_at: string
  readonly expires_at: string | null
  readonly last_used_at: string | null
}

export const registerToken: RegisterVerb = (program, context) => {
  const token = program.command('token').description('manages the tokens of people and programs, each with a role')
  registerCreate(token, context)
  registerList(token, context)
  registerRevoke(token, context)
}

function registerCreate(token: Command, { io, action }: VerbContext): void {
  withLab(token.command('create [name]'))
    .description('makes a token and prints it; it is shown only once')
    .addOption(
      new Option(
        '--role <role>',
        'viewers read; operators also switch data centers, networks and the clock; admins also change rules and tokens',
      )
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .option('--expires <duration>', 'how long it is valid, such as `12h` or `90d`; `never` for no end', '90d')
    .action(
      action(async (name: string | undefined, { role, expires, ...options }: CreateOptions) => {
        const lab = await connectLab(options)
        const body = { name: name ?? (await freeName(lab, role)), role, expires: expires === 'never' ? null : expires }
        const made = (await lab.ask('POST', '/lab/v1/tokens', body)) as TokenRow & { readonly token: string }
        if (options.json) writeJson(io, made)
        else {
          const style = stylesFor(io, io.stderr)
          const end = made.expires_at === null ? 'never expires' : `expires ${made.expires_at}`
          io.stderr.write(`${style.dim(`${made.name} (${made.role}, ${end}); this token is not shown again`)}\n`)
          io.stdout.write(`${made.token}\n`)
        }
        return 0
      }),
    )
}

/** `viewer`, or `viewer-2` where that is taken. */
async function freeName(lab: Awaited<ReturnType<typeof connectLab>>, role: Role): Promise<string> {
  const taken = new Set(((await lab.ask('GET', '/lab/v1/tokens')) as TokenRow[]).map(({ name }) => name))
  for (let number = 2; taken.has(role); number++) if (!taken.has(`${role}-${number}`)) return `${role}-${number}`
  return role
}

function registerList(token: Command, { io, action }: VerbContext): void {
  withLab(token.command('list'))
    .description('lists the valid tokens with their last use')
    .action(
      action(async (options: LabAddressOptions) => {
        const rows = (await (await connectLab(options)).ask('GET', '/lab/v1/tokens')) as TokenRow[]
        if (options.json) writeJson(io, rows)
        else {
          const heads = ['NAME', 'ROLE', 'EXPIRES', 'LAST USED', 'ID'].map(stylesFor(io, io.stdout).dim)
          const cells = rows.map(({ name, role, expires_at: end, last_used_at: used, id }) => [
            name,
            role,
            end ?? 'never',
            used ?? 'never',
            id,
          ])
          io.stdout.write(renderTable([heads, ...cells]))
        }
        return 0
      }),
    )
}

function registerRevoke(token: Command, { io, action }: VerbContext): void {
  withLab(token.command('revoke <name-or-id>'))
    .description('revokes a token and ends its open streams')
    .action(
      action(async (which: string, options: LabAddressOptions) => {
        if (which === '') throw inputError('token.no_name', 'no token is named', { hint: 'run `egresslab token list`' })
        const lab = await connectLab(options)
        const gone = (await lab.ask('DELETE', `/lab/v1/tokens/${encodeURIComponent(which)}`)) as TokenRow
        if (options.json) writeJson(io, gone)
        else io.stdout.write(`the token ${gone.name} (${gone.role}) is revoked\n`)
        return 0
      }),
    )
}
