// `colo list`: the data centers that matter here, with their dedicated IPs and whether they are up.

import type { LabSnapshot } from '../../config/lab-state.ts'
import { writeJson } from '../io.ts'
import { paintFor } from '../paint.ts'
import { renderTable } from '../table.ts'
import { DEFAULT_STATE, type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly state: string
  readonly json?: true
  readonly all: boolean
}

export const registerColo: RegisterVerb = (program, { io, services, action }) => {
  const colo = program.command('colo').description('data centers')
  withJson(withConfig(colo.command('list')))
    .description('lists data centers with their dedicated IPs')
    .option('--state <dir>', 'folder of what was changed at run time', DEFAULT_STATE)
    .option('--all', 'also those without a dedicated IP', false)
    .action(
      action(async (options: Options) => {
        const desk = await services.openDesk({ configFile: options.config, state: options.state })
        const rows = coloRows(desk.snapshot, options.all)
        desk.close()
        if (options.json) {
          writeJson(io, rows)
          return 0
        }
        const paint = paintFor(io, io.stdout)
        const cells = rows.map(({ code, city, country, up, dedicated }) => {
          const state = up ? paint.good('up') : paint.bad('down')
          return [code, state, `${city}, ${country}`, dedicated.map(({ ipv4, ipv6 }) => `${ipv4} ${ipv6}`).join('; ')]
        })
        io.stdout.write(renderTable([['COLO', 'STATE', 'CITY', 'DEDICATED IPS'].map(paint.dim), ...cells]))
        return 0
      }),
    )
}

function coloRows({ account }: LabSnapshot, all: boolean) {
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
