// `vnet list`: the virtual networks, and who has chosen which.

import type { LabSnapshot } from '../../config/lab-state.ts'
import { writeJson } from '../io.ts'
import { paintFor } from '../paint.ts'
import { renderTable } from '../table.ts'
import { DEFAULT_STATE, type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly state: string
  readonly json?: true
}

export const registerVnet: RegisterVerb = (program, { io, services, action }) => {
  const vnet = program.command('vnet').description('virtual networks')
  withJson(withConfig(vnet.command('list')))
    .description('lists virtual networks and who has chosen them')
    .option('--state <dir>', 'folder of what was changed at run time', DEFAULT_STATE)
    .action(
      action(async (options: Options) => {
        const desk = await services.openDesk({ configFile: options.config, state: options.state })
        const rows = networkRows(desk.snapshot)
        desk.close()
        if (options.json) {
          writeJson(io, rows)
          return 0
        }
        const paint = paintFor(io, io.stdout)
        const cells = rows.map(({ name, id, isDefault, chosenBy, comment }) => [
          isDefault ? `${name} (default)` : name,
          id,
          chosenBy.join(' '),
          comment,
        ])
        io.stdout.write(renderTable([['NAME', 'ID', 'CHOSEN BY', 'COMMENT'].map(paint.dim), ...cells]))
        return 0
      }),
    )
}

function networkRows({ account, state }: LabSnapshot) {
  const choices = [...state.choice.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
  return account.virtualNetworks.map(({ id, name, comment, isDefault }) => ({
    id,
    name,
    comment,
    isDefault,
    chosenBy: choices.filter((choice) => choice.virtualNetworkId === id).map((choice) => choice.id),
  }))
}
