// `sessions tail`: follows the running lab's sessions as they finish, those that fit the filters, as lines or as NDJSON.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LabAddressOptions, LabClient } from '../../lab/lab-client.ts'
import { sessionLine } from '../../log/session-log.ts'
import { parseCidr } from '../../net/cidr.ts'
import { ALLOWLIST_VERDICTS } from '../../policy/allowlist.ts'
import { FILTER_OUTCOMES, type SessionFilter, sessionFilter } from '../../proxy/session-filter.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import { connectLab } from '../lazy-imports.ts'
import { watchStopSignal } from '../signals.ts'
import { takesColour } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, type VerbContext, withLab } from '../verb.ts'

interface TailOptions extends LabAddressOptions, SessionFilter {
  readonly recent: number
  readonly limit?: number
  readonly fleet?: true
}

export const registerSessions: RegisterVerb = (program, context) => {
  const sessions = program.command('sessions').description('shows finished sessions')
  withFilters(withLab(sessions.command('tail')))
    .description('follows the running lab’s sessions as they finish; with --json one record per line')
    .option('--recent <count>', 'print the last N finished sessions first', count, 0)
    .option('--limit <count>', 'stop after N sessions', positive)
    .addOption(new Option('--fleet', 'sessions of every member of the fleet').conflicts('recent'))
    .action(context.action((options: TailOptions) => tail(context, options)))
}

function withFilters(command: Command): Command {
  return command
    .option('--user <email>', 'only sessions of this user')
    .option('--vnet <name or id>', 'only sessions on this virtual network')
    .option('--rule <name or id>', 'only sessions this rule decided')
    .option('--egress-ip <ip or network>', 'only sessions with this egress IP', network)
    .addOption(new Option('--outcome <outcome>', 'only sessions with this outcome').choices(FILTER_OUTCOMES))
    .addOption(
      new Option('--allowlist <verdict>', 'only sessions that an allowlist let in, or refused').choices(
        ALLOWLIST_VERDICTS,
      ),
    )
    .option('--text <text>', 'only sessions whose record contains this text')
}

async function tail({ io }: VerbContext, options: TailOptions): Promise<ExitCode> {
  const fits = sessionFilter(options)
  const line = options.json
    ? (record: SessionRecord) => JSON.stringify(record)
    : (record: SessionRecord) => sessionLine(record, { colour: takesColour(io, io.stdout) })
  const lab = await connectLab(options)
  const stop = new AbortController()
  let left = options.limit ?? Number.POSITIVE_INFINITY
  const show = (record: SessionRecord): boolean => {
    if (fits(record)) {
      io.stdout.write(`${line(record)}\n`)
      left--
    }
    return left <= 0
  }
  let code: ExitCode = 0
  const signal = watchStopSignal()
  void signal.promise.then((exitCode) => {
    code = exitCode
    stop.abort()
  })
  void io.stdout.gone?.then(() => stop.abort())
  try {
    const path = options.fleet === true ? '/lab/v1/fleet/events' : '/lab/v1/events'
    const ended = await follow(lab, { path, stop: stop.signal, recent: options.recent, show })
    if (!ended && !stop.signal.aborted) io.stderr.write(`the lab at ${lab.url} ended the stream\n`)
    return code
  } finally {
    stop.abort()
    signal.forget()
  }
}

interface Following {
  readonly path: string
  readonly stop: AbortSignal
  readonly recent: number
  /** true: that was enough */
  readonly show: (record: SessionRecord) => boolean
}

/** What finished before comes first, once the stream is open, so that nothing is missed and nothing comes twice. */
async function follow(lab: LabClient, { path, stop, recent, show }: Following): Promise<boolean> {
  const shown = new Set<string>()
  try {
    for await (const { event, data } of lab.follow(path, stop)) {
      if (event === 'hello' && recent > 0) {
        const before = (await lab.ask('GET', `/lab/v1/sessions/recent?limit=${recent}`)) as SessionRecord[]
        for (const record of before) {
          shown.add(record.SessionID)
          if (show(record)) return true
        }
      }
      if (event !== 'session') continue
      const record = data as SessionRecord
      if (!shown.delete(record.SessionID) && show(record)) return true
    }
    return false
  } catch (thrown) {
    if (stop.aborted) return false
    throw thrown
  }
}

function count(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > 1000)
    throw new InvalidArgumentError('expected a number from 0 to 1000.')
  return Number(text)
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('expected a number from 1 up.')
  return Number(text)
}

function network(text: string): string {
  if (parseCidr(text) === undefined) throw new InvalidArgumentError('expected an address or a network.')
  return text
}
