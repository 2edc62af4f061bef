// `run -- CMD…`: runs a program through the lab, one that runs or one of its own, and shows in the end where its connections went.

import { InputError } from '../../errors/issue.ts'
import { errnoOf } from '../../errors/thrown.ts'
import { runProgram } from '../../host-addresses/run-program.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import { choiceOf, ownLab, type ProgramLab, type ProgramOptions, runningLab, withPerson } from '../lab-for-programs.ts'
import { type Io, renderTable, stylesFor } from '../terminal.ts'
import type { RegisterVerb } from '../verb.ts'

/** As shells say it. */
const NOT_FOUND = 127
const NOT_EXECUTABLE = 126

interface Options extends ProgramOptions {
  readonly own?: true
  readonly table: boolean
}

export const registerRun: RegisterVerb = (program, { io, action }) => {
  withPerson(program.command('run <command...>'))
    .description('runs a program that finds the proxy in its environment; starts a lab for it where none runs')
    .option('--own', 'start a lab for it even where one runs')
    .option('--no-table', 'show no table of its sessions at the end')
    .action(
      action(async (command: readonly string[], options: Options) => {
        const lab = await labFor(options)
        let passedOn: number | undefined
        try {
          const choice = lab.access.asSomebody(choiceOf(options))
          const variables = lab.access.env(choice)
          passedOn = await started(command, io, () => runProgram(command, { env: { ...io.env, ...variables } }))
        } finally {
          const records = await lab.end()
          if (passedOn !== undefined && options.table) io.stderr.write(sessionTable(records, io))
        }
        return { passedOn }
      }),
    )
}

async function labFor(options: Options): Promise<ProgramLab> {
  if (options.own) return ownLab(options)
  try {
    return await runningLab(options)
  } catch (thrown) {
    const nobody = thrown instanceof InputError && thrown.issues.some(({ code }) => code === 'lab.not_running')
    if (!nobody || options.api !== undefined || options.readyFile !== undefined) throw thrown
    return ownLab(options)
  }
}

async function started([program = '']: readonly string[], io: Io, run: () => Promise<number>): Promise<number> {
  try {
    return await run()
  } catch (thrown) {
    const code = errnoOf(thrown)
    if (code === '') throw thrown
    const isMissing = code === 'ENOENT'
    io.stderr.write(`cannot run \`${program}\`: ${isMissing ? 'there is no such program' : code}\n`)
    return isMissing ? NOT_FOUND : NOT_EXECUTABLE
  }
}

/** One line for connections that are alike. */
function sessionTable(records: readonly SessionRecord[] | undefined, io: Io): string {
  if (records === undefined) return "no token for the lab's API, so its sessions are not shown here\n"
  if (records.length === 0) return 'no connection went through the lab\n'
  const style = stylesFor(io, io.stderr)
  const rows = new Map<string, { readonly cells: readonly string[]; count: number }>()
  for (const record of records) {
    const cells = cellsOf(record)
    const key = JSON.stringify(cells)
    const row = rows.get(key) ?? { cells, count: 0 }
    row.count++
    rows.set(key, row)
  }
  const head = ['SESSIONS', 'USER', 'PROTOCOL', 'DESTINATION', 'EGRESS IP', 'COLO', 'RULE', 'OUTCOME'].map(style.dim)
  return renderTable([head, ...[...rows.values()].map(({ cells, count }) => [String(count), ...cells])])
}

function cellsOf({ Email, Protocol, ResolvedFQDN, OriginPort, ...record }: SessionRecord): string[] {
  const { target, error, outcome } = record.Lab
  const destination = ResolvedFQDN === '' || OriginPort === 0 ? target : `${ResolvedFQDN}:${OriginPort}`
  const { EgressIP, EgressColoName, EgressRuleName } = record
  const cells = [Email, Protocol, destination, EgressIP, EgressColoName, EgressRuleName, error?.code ?? outcome ?? '']
  return cells.map((cell) => (cell === '' ? '-' : cell))
}
