// `fleet status`, `drain`, `leave`: the fleet that the running lab is a member of. `fleet ca`: the certificates of its members.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { FleetStatus } from '../../api/index.ts'
import { makeFolder } from '../../config/files.ts'
import { inputError } from '../../errors/issue.ts'
import { messageOf } from '../../errors/thrown.ts'
import type { LabAddressOptions } from '../../lab/lab-client.ts'
import { connectLab } from '../lazy-imports.ts'
import { type Io, renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, type VerbContext, withLab } from '../verb.ts'

export const registerFleet: RegisterVerb = (program, context) => {
  const fleet = program.command('fleet').description('shows the fleet of the running lab; makes its certificates')
  registerStatus(fleet, context)
  registerDrain(fleet, context)
  registerLeave(fleet, context)
  registerCertificates(fleet, context)
}

function registerStatus(fleet: Command, { io, action }: VerbContext): void {
  withLab(fleet.command('status'))
    .description(
      'lists the members as this one sees them; exit code 1 unless all are up and this one follows the fleet',
    )
    .action(
      action(async (options: LabAddressOptions) => {
        const status = (await (await connectLab(options)).ask('GET', '/lab/v1/fleet')) as FleetStatus
        if (options.json) writeJson(io, status)
        else io.stdout.write(renderStatus(status, io))
        return status.standing === 'following' &&
          status.members.every(({ state }) => state === 'up' || state === 'drained')
          ? 0
          : 1
      }),
    )
}

function registerDrain(fleet: Command, { io, action }: VerbContext): void {
  withLab(fleet.command('drain <member>'))
    .description("takes a member's data center down for new connections; open ones continue")
    .option('--undo', 'bring it back', false)
    .action(
      action(async (member: string, { undo, ...options }: LabAddressOptions & { readonly undo: boolean }) => {
        const lab = await connectLab(options)
        const path = `/lab/v1/fleet/members/${encodeURIComponent(member)}`
        const status = (await lab.ask('PUT', path, { drained: !undo })) as FleetStatus
        if (options.json) writeJson(io, status)
        else io.stdout.write(`${member} ${undo ? 'takes connections again' : 'is drained'}\n`)
        return 0
      }),
    )
}

function registerLeave(fleet: Command, { io, action }: VerbContext): void {
  withLab(fleet.command('leave <member>'))
    .description('takes a member out of the fleet; its data center is then emulated where connections enter')
    .action(
      action(async (member: string, options: LabAddressOptions) => {
        const lab = await connectLab(options)
        const status = await lab.ask('DELETE', `/lab/v1/fleet/members/${encodeURIComponent(member)}`)
        if (options.json) writeJson(io, status)
        else io.stdout.write(`${member} is no member any more\n`)
        return 0
      }),
    )
}

function renderStatus({ name, member, standing, code, why, revision, members }: FleetStatus, io: Io): string {
  const style = stylesFor(io, io.stdout)
  const state = { up: style.good, cut_off: style.warn, drained: style.warn, lost: style.bad }
  const rows = members.map((each) => [
    each.is_self ? `${each.name} (this one)` : each.name,
    each.colo,
    state[each.state](each.state.replace('_', ' ')),
    each.link === 'self' ? '-' : each.link,
    each.behind === 0 ? String(each.revision) : `${each.revision} (${each.behind} behind)`,
    String(each.sessions),
    each.why ?? each.trouble,
  ])
  const head = ['MEMBER', 'COLO', 'STATE', 'LINK', 'REVISION', 'SESSIONS', ''].map(style.dim)
  const troubled = standing === 'following' ? '' : `: ${style.bad(`${standing.replace('_', ' ')}, ${why}`)}`
  const named = code === null ? '' : ` [${code}]`
  return `fleet ${name} at revision ${revision}, seen from ${member}${troubled}${named}\n${renderTable([head, ...rows])}`
}

interface CertificateOptions {
  readonly fleet: string
  readonly renew: boolean
}

function registerCertificates(fleet: Command, { io, action }: VerbContext): void {
  fleet
    .command('ca <folder> <members...>')
    .description("makes a certificate for each member, and the fleet's certificate authority if the folder has none")
    .requiredOption('--fleet <name>', 'the name of the fleet, `fleet.name` of the configuration', label)
    .option('--renew', 'make new certificates for members that have one', false)
    .action(
      action(async (folder: string, members: string[], { fleet: name, renew }: CertificateOptions) => {
        const { issueAuthority, issueMemberCertificate } = await import('../../tls/issue-certificates.ts')
        const { memberHost } = await import('../../fleet/log-message.ts')
        members.forEach(label)
        try {
          makeFolder(folder)
          const pair = (file: string) => [join(folder, `${file}.pem`), join(folder, `${file}-key.pem`)] as const
          const keep = (file: string, { certificate, key }: { readonly certificate: string; readonly key: string }) => {
            const [certificateFile, keyFile] = pair(file)
            writeFileSync(keyFile, key, { mode: 0o600 })
            writeFileSync(certificateFile, certificate)
            io.stdout.write(`${certificateFile}\n`)
          }
          const [authorityFile, authorityKey] = pair('ca')
          if (!existsSync(authorityFile)) keep('ca', await issueAuthority(Date.now(), `egresslab fleet ${name}`))
          const authority = {
            certificate: readFileSync(authorityFile, 'utf8'),
            key: readFileSync(authorityKey, 'utf8'),
          }
          for (const member of members) {
            if (existsSync(pair(member)[0]) && !renew) io.stderr.write(`${member} has a certificate already\n`)
            else keep(member, await issueMemberCertificate(authority, memberHost(name, member), Date.now()))
          }
        } catch (thrown) {
          throw inputError('fleet.certificates', `cannot make certificates in \`${folder}\`: ${messageOf(thrown)}`)
        }
        return 0
      }),
    )
}

function label(text: string): string {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text) || text === 'ca') {
    throw new InvalidArgumentError('expected a name of lower-case letters, digits and hyphens, other than `ca`.')
  }
  return text
}
