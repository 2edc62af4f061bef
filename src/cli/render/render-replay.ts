// Renders the result of a replay for people: how much changed, where, for whom, by which rules, and which services would refuse it.

import type { ChangeTally, ReplaySummary } from '../../analysis/replay-summary.ts'
import { counted } from '../../errors/counted.ts'
import type { ReplayOutcome } from '../../replay/replay.ts'
import { renderTable, type TextStyles } from '../terminal.ts'

/** Lines per table; the rest is counted. `--json` has them all. */
const SHOWN = 10

export interface ReplayTitles {
  readonly before: string
  readonly after: string
  /** `before` is the recording, not rules */
  readonly againstRecording: boolean
}

/** The whole text, ending in a line feed. */
export function renderReplay(outcome: ReplayOutcome, titles: ReplayTitles, style: TextStyles): string {
  const { summary } = outcome
  const { before, after, againstRecording } = titles
  const sections = [
    headText(outcome, style) + changesText(summary, style),
    missingText(summary, againstRecording, style),
    tallyText('by destination', summary.destinations, style),
    tallyText('by user', summary.users, style),
    movesText('by rule', summary.ruleMoves, style),
    movesText('by egress IP', summary.egressMoves, style),
    movesText('by data center', summary.coloMoves, style),
    allowlistText(summary, style),
    unusedText(outcome, style),
    doubtsText(summary, style),
  ]
  const title = `${style.strong(after)} against ${style.strong(before)}\n`
  return title + sections.filter((section) => section !== '').join('\n')
}

function headText({ summary, seconds }: ReplayOutcome, style: TextStyles): string {
  const { records, decided, exempt, namedBySni, unreadable, undecided } = summary
  const left = [
    [undecided.no_destination, 'failed before a decision'],
    [undecided.no_port, 'without a port'],
    [undecided.no_protocol, 'without a protocol'],
    [undecided.no_source, 'without a source address'],
    [undecided.other_protocol, 'neither TCP nor UDP'],
    [undecided.bad_address, 'with an invalid address'],
  ] as const
  const notes = left.filter(([count]) => count > 0).map(([count, what]) => `${number(count)} ${what}`)
  const rate = number(Math.round(records / Math.max(seconds, 1e-6)))
  const time = `in ${seconds.toFixed(1)} s, ${rate} a second`
  return [
    `${counted(records, 'session')} ${style.dim(time)}`,
    ...periodLines(summary, style),
    `${number(decided)} decided again${notes.length === 0 ? '' : `; not decided: ${notes.join(', ')}`}`,
    ...(exempt === 0
      ? []
      : [
          `${number(exempt)} of these ${exempt === 1 ? 'is' : 'are'} exempt by what was recorded: ICMP, or to somewhere that is not the internet`,
        ]),
    ...(namedBySni === 0 ? [] : [`${number(namedBySni)} decided by the name of their TLS handshake (SNI)`]),
    ...(unreadable === 0
      ? []
      : [
          style.bad(
            unreadable === 1 ? '1 line is not a session record' : `${number(unreadable)} lines are not session records`,
          ),
        ]),
    '',
  ].join('\n')
}

/** Cloudflare's records only: the lab's own are of now and complete. */
function periodLines(
  { dataSets, recordedFrom, recordedTo, fromCloudflare }: ReplaySummary,
  style: TextStyles,
): string[] {
  if (!fromCloudflare) return []
  const sets = [...dataSets.keys()].join(', ')
  if (recordedFrom === undefined || recordedTo === undefined) return [sets]
  const [from, to] = [recordedFrom, recordedTo].map((at) => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'))
  return [`${sets}, ${style.dim(`${from} to ${to}`)}`]
}

/** What follows from a field that records lack. */
const WITHOUT: Readonly<Record<string, string>> = {
  Protocol: 'not decided',
  SourceIP: 'not decided',
  OriginIP: 'not decided',
  OriginPort: 'not decided',
  SourcePort: 'decided as port 0',
  ResolvedFQDN: 'decided without a name; --names sni takes that of the TLS handshake',
  'Email or UserID': 'decided as nobody',
  'DeviceID or DeviceName': 'decided without a device',
  VirtualNetworkID: 'decided in the default virtual network',
  IngressColoName: 'decided at the place of the source address',
}
const UNCOMPARED: Readonly<Record<string, string>> = {
  EgressIP: 'egress IPs not compared',
  EgressColoName: 'data centers not compared',
  'EgressRuleID or EgressRuleName': 'rules not compared',
}

function missingText({ missing, records }: ReplaySummary, againstRecording: boolean, style: TextStyles): string {
  const effects = againstRecording ? { ...WITHOUT, ...UNCOMPARED } : WITHOUT
  const rows = [...missing].flatMap(([field, count]) => {
    const effect = effects[field]
    return effect === undefined ? [] : [[`  ${field}`, `${number(count)} of ${number(records)}`, effect]]
  })
  return section('missing in the records', rows, rows.length, style)
}

function changesText({ changed, decided, compared, changes }: ReplaySummary, style: TextStyles): string {
  const uncompared = decided - compared
  if (compared === 0) return `${style.warn('nothing to compare with')}\n`
  const note = uncompared === 0 ? '' : `${style.warn(`${number(uncompared)} have nothing to compare with`)}\n`
  if (changed === 0) return `${note}${style.good('nothing changes')}\n`
  const parts = [
    [changes.egress_ip, 'egress IP'],
    [changes.rule, 'rule'],
    [changes.colo, 'data center'],
    [changes.outcome, 'outcome'],
  ] as const
  const shown = parts.filter(([count]) => count > 0).map(([count, what]) => `${what} ${number(count)}`)
  return `${note}${style.warn(`${number(changed)} change`)} (${percent(changed, decided)}): ${shown.join(', ')}\n`
}

function tallyText(title: string, tallies: ReadonlyMap<string, ChangeTally>, style: TextStyles): string {
  const changed = [...tallies].filter(([, tally]) => tally.changed > 0).sort(([, a], [, b]) => b.changed - a.changed)
  const rows = changed.slice(0, SHOWN).map(([name, tally]) => {
    return [
      `  ${name}`,
      `${number(tally.changed)} of ${number(tally.sessions)}`,
      percent(tally.changed, tally.sessions),
    ]
  })
  return section(title, rows, changed.length, style)
}

function movesText(title: string, moves: ReadonlyMap<string, number>, style: TextStyles): string {
  const sorted = [...moves].sort(([, a], [, b]) => b - a)
  const rows = sorted.slice(0, SHOWN).map(([move, count]) => [`  ${move}`, number(count)])
  return section(title, rows, sorted.length, style)
}

function section(title: string, rows: readonly (readonly string[])[], total: number, style: TextStyles): string {
  if (rows.length === 0) return ''
  const more = total > rows.length ? style.dim(`  and ${number(total - rows.length)} more\n`) : ''
  return `${style.strong(title)}\n${renderTable(rows)}${more}`
}

/** A service is listed if it has sessions, whether or not they change. */
function allowlistText({ allowlists }: ReplaySummary, style: TextStyles): string {
  const rows = [...allowlists].map(([name, { sessions, refused, admitted, refusedUsers }]) => {
    const users = [...refusedUsers.keys()]
    const who = users.length === 0 ? '' : `: ${users.slice(0, 3).join(', ')}${users.length > 3 ? ', …' : ''}`
    const bad = `newly refuses ${number(refused)}${who}`
    return [
      `  ${name}`,
      counted(sessions, 'session'),
      refused === 0 ? style.good('no new refusals') : style.bad(bad),
      admitted === 0 ? '' : `newly admits ${number(admitted)}`,
    ]
  })
  return section('allowlists', rows, rows.length, style)
}

function unusedText({ summary, rules }: ReplayOutcome, style: TextStyles): string {
  const unused = rules.filter(({ id }) => !summary.ruleUses.has(id))
  const rows = unused.slice(0, SHOWN).map(({ precedence, name }) => [`  ${String(precedence).padStart(6)}`, name])
  return section('rules that decide none of these sessions', rows, unused.length, style)
}

/** What the configuration does not have is decided as well as it goes; that is worth knowing. */
function doubtsText({ unknownUsers, unknownNetworks }: ReplaySummary, style: TextStyles): string {
  const about = (names: ReadonlyMap<string, number>, what: string) => {
    if (names.size === 0) return []
    const sessions = [...names.values()].reduce((sum, count) => sum + count, 0)
    const shown = [...names.keys()].slice(0, 3).join(', ')
    return [
      `${style.warn('note')}: ${counted(sessions, 'session')} of ${what} the configuration does not have: ${shown}${names.size > 3 ? ', …' : ''}\n`,
    ]
  }
  return [...about(unknownUsers, 'users'), ...about(unknownNetworks, 'virtual networks')].join('')
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

function percent(part: number, whole: number): string {
  const value = whole === 0 ? 0 : (100 * part) / whole
  return value > 0 && value < 0.1 ? '< 0.1 %' : `${value.toFixed(1)} %`
}
