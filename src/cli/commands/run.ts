// `run -- CMD…`: runs a program through the lab, one that runs or one of its own, and shows in the end where its connections went.

import { InvalidArgumentError } from 'commander'
import { InputError, inputError } from '../../errors/issue.ts'
import { messageOf } from '../../errors/thrown.ts'
import { exitCodeOf, runProgram } from '../../host-addresses/run-program.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import { choiceOf, ownLab, type ProgramLab, type ProgramOptions, runningLab, withPerson } from '../lab-for-programs.ts'
import { type Io, renderTable, stylesFor } from '../terminal.ts'
import type { RegisterVerb } from '../verb.ts'

/** Well-known ports of what programs connect to, TCP and UDP alike (IANA's registry), and those the lab's own test origins have. */
const USUAL_PORTS = [
  7, 22, 25, 53, 80, 110, 123, 143, 389, 443, 465, 587, 636, 853, 993, 995, 1433, 1521, 1883, 2379, 3306, 3389, 3478,
  4222, 4433, 5222, 5349, 5432, 5671, 5672, 6379, 6443, 8080, 8443, 8883, 9042, 9092, 9200, 9418, 11211, 27017, 50051,
]
const MOST_PORTS = 1000

interface Options extends ProgramOptions {
  readonly capture?: true
  readonly capturePorts: readonly number[]
  readonly own?: true
  readonly table: boolean
}

export const registerRun: RegisterVerb = (program, { io, action }) => {
  withPerson(program.command('run <command...>'))
    .description('runs a program with the proxy in its environment; starts a lab for it if none is running')
    .option('--own', 'start a lab of its own even if one is running')
    .option('--capture', 'also capture programs that know nothing of proxies (Linux; needs no root)')
    .option('--capture-ports <ports>', 'ports to capture, such as `80,443,8000-8010`', portList, USUAL_PORTS)
    .option('--no-table', 'do not print the table of sessions at the end')
    .action(
      action(async (command: readonly string[], options: Options) => {
        const lab = await labFor(options, io)
        const names: NamesAsked = new Map()
        let passedOn: number | undefined
        try {
          passedOn = await exitCodeOf(
            command,
            () => runIn(lab, command, options, io, names),
            (text) => io.stderr.write(text),
          )
        } finally {
          const records = await lab.end()
          if (passedOn !== undefined && options.table) io.stderr.write(sessionTable(records, names, io))
        }
        return { passedOn }
      }),
    )
}

/** By address: the names for which Gateway DNS answered it to the program. */
type NamesAsked = Map<string, Set<string>>

async function runIn(
  lab: ProgramLab,
  command: readonly string[],
  options: Options,
  io: Io,
  names: NamesAsked,
): Promise<number> {
  const choice = lab.access.asSomebody(choiceOf(options))
  if (!options.capture) return runProgram(command, { env: { ...io.env, ...lab.access.env(choice) } })
  const proxy = lab.access.proxyAccess({ ...choice, protocol: 'socks5' })
  const [dns] = lab.dns
  if (dns === undefined) {
    const hint = 'add `dns: { listen: ["127.0.0.1:8053"] }` to the configuration'
    throw inputError('capture.no_dns', '`--capture` needs Gateway DNS, and this lab has none', { hint })
  }
  const [{ runCaptured }, { addressesIn }] = await Promise.all([
    import('../../host-addresses/capture.ts'),
    import('../../dns/message.ts'),
  ])
  const onDnsReply = (reply: Buffer) => {
    const { name = '', addresses = [] } = addressesIn(reply) ?? {}
    for (const { text } of addresses) names.set(text, (names.get(text) ?? new Set()).add(name))
  }
  const env = withoutProxy({ ...io.env, ...lab.access.env(choice) })
  const warn = (line: string) => io.stderr.write(`egresslab: ${line}\n`)
  return runCaptured(command, { proxy, dns, ports: options.capturePorts, env, onDnsReply, warn })
}

/** What a captured program finds of proxies: nothing, since no port of this machine's is there. */
function withoutProxy(env: Io['env']): Io['env'] {
  const names = /^(?:(?:http|https|all|no|ftp)_proxy|node_use_env_proxy|java_tool_options)$/i
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.test(name)))
}

function portList(text: string): readonly number[] {
  const ports = text.split(',').flatMap((part) => {
    const [, first = '', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim()) ?? []
    const [from, to] = [Number(first), Number(last)]
    if (first === '' || from < 1 || to > 65_535 || from > to) {
      throw new InvalidArgumentError('separate ports and ranges with commas: `80,443,8000-8010`.')
    }
    if (to - from >= MOST_PORTS) throw tooMany()
    return Array.from({ length: to - from + 1 }, (_, at) => from + at)
  })
  if (ports.length > MOST_PORTS) throw tooMany()
  return ports
}

function tooMany(): InvalidArgumentError {
  return new InvalidArgumentError(`expected at most ${MOST_PORTS} ports; each is listened on.`)
}

async function labFor(options: Options, io: Io): Promise<ProgramLab> {
  if (options.own) return ownLab(options)
  try {
    return await runningLab(options)
  } catch (thrown) {
    const code = thrown instanceof InputError ? thrown.issues[0]?.code : undefined
    if (options.api !== undefined || options.readyFile !== undefined) throw thrown
    if (code === 'lab.not_ours') io.stderr.write(`egresslab: ${messageOf(thrown)}; the program gets a lab of its own\n`)
    else if (code !== 'lab.not_running') throw thrown
    return ownLab(options)
  }
}

/** One line for connections that are alike. */
function sessionTable(records: readonly SessionRecord[] | undefined, names: NamesAsked, io: Io): string {
  if (records === undefined) return "no token for the lab's API, so its sessions are not shown here\n"
  if (records.length === 0) return 'no connection went through the lab\n'
  const style = stylesFor(io, io.stderr)
  const rows = new Map<string, { readonly cells: readonly string[]; count: number }>()
  for (const record of records) {
    const cells = cellsOf(record, names)
    const key = JSON.stringify(cells)
    const row = rows.get(key) ?? { cells, count: 0 }
    row.count++
    rows.set(key, row)
  }
  const head = ['SESSIONS', 'USER', 'PROTOCOL', 'DESTINATION', 'EGRESS IP', 'COLO', 'RULE', 'OUTCOME'].map(style.dim)
  return renderTable([head, ...[...rows.values()].map(({ cells, count }) => [String(count), ...cells])])
}

function cellsOf(record: SessionRecord, names: NamesAsked): string[] {
  const { Email, Protocol, EgressIP, EgressColoName, EgressRuleName, Lab } = record
  const outcome = Lab.error?.code ?? Lab.outcome ?? ''
  const cells = [Email, Protocol, destinationOf(record, names), EgressIP, EgressColoName, EgressRuleName, outcome]
  return cells.map((cell) => (cell === '' ? '-' : cell))
}

/** By the name the lab decided by; else by the one name the program can have meant; else as it was asked for. Of several names at an
 *  address, a TLS client says which it means. */
function destinationOf({ ResolvedFQDN, OriginPort, SNI, Lab }: SessionRecord, names: NamesAsked): string {
  if (ResolvedFQDN !== '' && OriginPort !== 0) return `${ResolvedFQDN}:${OriginPort}`
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(Lab.target) ?? []
  const asked = names.get(host)
  const name = asked?.size === 1 ? [...asked][0] : asked?.has(SNI.toLowerCase()) ? SNI.toLowerCase() : undefined
  return name === undefined ? Lab.target : `${name}:${port}`
}
