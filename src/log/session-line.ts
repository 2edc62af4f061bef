// One finished session as one line for a terminal: who, from which network, where to, which rule, from which address,
// its location to others, bytes and duration. Always one line, whatever the client sent (LG-01).

import type { AllowlistVerdict, SessionRecord } from '../proxy/session-record.ts'

type LinePaint = (style: 'good' | 'bad' | 'dim' | 'plain', text: string) => string

/** One session record ([S1]) as a line for a terminal, without a line feed. Columns are padded to usual widths and grow with longer values. */
export function sessionLine(record: SessionRecord, options: { readonly colour: boolean }): string {
  const paint = options.colour ? colourful : plain
  const failed = record.Lab.error !== undefined
  const columns = [
    paint('dim', clock(record.SessionEndTime)),
    printable(record.Email === '' ? '(nobody)' : record.Email).padEnd(19),
    paint('dim', printable(record.Lab.virtualNetworkName === '' ? '-' : record.Lab.virtualNetworkName).padEnd(9)),
    printable(record.Lab.target).padEnd(24),
    ...(record.EgressIP === '' ? [] : egress(record, paint)),
    ...(failed ? [paint('bad', failure(record))] : []),
    ...(record.Lab.allowlist === undefined ? [] : [verdict(record.Lab.allowlist, paint)]),
    ...(record.EgressIP === '' ? [] : [traffic(record)]),
    paint('dim', `${Math.round(record.Lab.durationMs)} ms`),
  ]
  return columns.join('  ').trimEnd()
}

function egress(record: SessionRecord, paint: LinePaint): string[] {
  const { outcome, logical } = record.Lab
  const rule = record.EgressRuleName === '' ? `(${outcome ?? 'undecided'})` : record.EgressRuleName
  const seen = logical === undefined ? '' : `seen in ${logical.city} ${logical.country}`
  return [
    printable(rule).padEnd(22),
    paint('good', record.EgressIP.padEnd(13)),
    `via ${record.EgressColoName === '' ? '-' : record.EgressColoName}`,
    printable(seen).padEnd(22),
  ]
}

function verdict(allowlist: AllowlistVerdict, paint: LinePaint): string {
  return allowlist === 'refused' ? paint('bad', 'refused') : paint('good', 'let in')
}

function failure(record: SessionRecord): string {
  const { error } = record.Lab
  return `${record.ConnectionCloseReason} ${error?.code ?? ''}: ${printable(error?.message ?? '', 200)}`
}

function traffic(record: SessionRecord): string {
  return `↑ ${bytes(record.BytesSent)} ↓ ${bytes(record.BytesReceived)}`
}

/** `312 B`, `4.1 kB`, `2.0 GB`: decimal units, as usual in networking. */
function bytes(count: number): string {
  if (count < 1000) return `${count} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  const step = Math.min(Math.floor(Math.log10(count) / 3), units.length)
  return `${(count / 1000 ** step).toFixed(1)} ${units[step - 1]}`
}

/** Local time of day; the records themselves have the full UTC time. */
function clock(instant: string): string {
  const date = new Date(instant)
  if (Number.isNaN(date.getTime())) return '--:--:--'
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

const CODES = { good: '32', bad: '31', dim: '2', plain: '0' }

function colourful(style: keyof typeof CODES, text: string): string {
  return `\u001b[${CODES[style]}m${text}\u001b[0m`
}

function plain(_style: string, text: string): string {
  return text
}

/** C0 and C1 controls, line separators, direction marks and overrides, zero-width and invisible formatting characters,
 *  lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** The text with every unsafe character as `\u{…}`, cut to `limit` characters with an ellipsis
 *  (LG-02). */
export function printable(text: string, limit = 80): string {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text
  return cut.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
