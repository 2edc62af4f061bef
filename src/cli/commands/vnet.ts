// `vnet list`, `vnet use`: the virtual networks and who has chosen which; attaches a user to one on the running lab.

import type { LabSnapshot } from '../../config/lab-state.ts'
import type { LabAddressOptions, LabClient } from '../../lab/lab-client.ts'
import { askLabOrDecider } from '../ask-lab.ts'
import { connectLab } from '../lazy-imports.ts'
import { type Io, renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, withLab } from '../verb.ts'

interface NetworkRow {
  readonly id: string
  readonly name: string
  readonly comment: string
  readonly isDefault: boolean
  /** emails */
  readonly chosenBy: readonly string[]
}

export const registerVnet: RegisterVerb = (program, context) => {
  const { io, action } = context
  const vnet = program.command('vnet').description('lists virtual networks and chooses one for a user')
  withLab(vnet.command('list'))
    .description('lists virtual networks and who has chosen them')
    .action(
      action(async (options: LabAddressOptions) => {
        const rows = await askLabOrDecider(context, options, {
          ask: networksOf,
          look: ({ snapshot }) => networkRows(snapshot),
        })
        if (options.json) writeJson(io, rows)
        else io.stdout.write(renderRows(rows, io))
        return 0
      }),
    )
  withLab(vnet.command('use <name-or-id>'))
    .description('moves a user to a virtual network; open connections keep their egress IP')
    .requiredOption('--user <email>', 'the user who chooses')
    .action(
      action(async (wanted: string, options: LabAddressOptions & { readonly user: string }) => {
        const lab = await connectLab(options)
        const path = `/lab/v1/users/${encodeURIComponent(options.user)}/virtual-network`
        const { id, name } = (await lab.ask('PUT', path, { virtual_network: wanted })) as { id: string; name: string }
        if (options.json) writeJson(io, { user: options.user, virtual_network: { id, name } })
        else io.stdout.write(`new connections of ${options.user} use ${name} (${id})\n`)
        return 0
      }),
    )
}

function renderRows(rows: readonly NetworkRow[], io: Io): string {
  const style = stylesFor(io, io.stdout)
  const cells = rows.map(({ name, id, isDefault, chosenBy, comment }) => [
    isDefault ? `${name} (default)` : name,
    id,
    chosenBy.join(' '),
    comment,
  ])
  return renderTable([['NAME', 'ID', 'CHOSEN BY', 'COMMENT'].map(style.dim), ...cells])
}

async function networksOf(lab: LabClient): Promise<NetworkRow[]> {
  const [account] = (await lab.ask('GET', '/client/v4/accounts')) as { id: string }[]
  const path = `/client/v4/accounts/${account?.id}/teamnet/virtual_networks?is_deleted=false`
  const networks = (await lab.ask('GET', path)) as {
    id: string
    name: string
    comment: string
    is_default_network: boolean
  }[]
  const users = (await lab.ask('GET', '/lab/v1/users')) as {
    email: string
    virtual_network: { id: string; chosen: boolean }
  }[]
  return networks.map(({ id, name, comment, is_default_network: isDefault }) => ({
    id,
    name,
    comment,
    isDefault,
    chosenBy: users.filter(({ virtual_network: { id: on, chosen } }) => chosen && on === id).map(({ email }) => email),
  }))
}

function networkRows({ account, state }: LabSnapshot): NetworkRow[] {
  const choices = [...state.choice.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
  return account.virtualNetworks.map(({ id, name, comment, isDefault }) => ({
    id,
    name,
    comment,
    isDefault,
    chosenBy: choices.filter((choice) => choice.virtualNetworkId === id).map((choice) => choice.id),
  }))
}
