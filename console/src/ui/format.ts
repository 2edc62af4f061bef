// Numbers and times as people read them.

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB']

/** 1 234 567 bytes → `1.2 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let size = 0
  while (value >= 1000 && size < SIZES.length - 1) {
    value /= 1000
    size++
  }
  return `${size === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SIZES[size]}`
}

/** Milliseconds → `4 ms`, `1.2 s`, `3 min`, `2 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? Math.max(0, Math.round(ms * 10) / 10) : Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  return `${(ms / 3_600_000).toFixed(1)} h`
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })

export function formatTime(at: number): string {
  return clock.format(at)
}

export function formatDay(at: number): string {
  return day.format(at)
}

const dayOfYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const minutes = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })

/** As much as tells it from `now`: `14:05`, `30 Nov`, `30 Nov 2025`. */
export function formatShort(at: number, now: number): string {
  if (day.format(at) === day.format(now)) return minutes.format(at)
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? dayOfYear.format(at) : day.format(at)
}

export function formatDate(at: number): string {
  return `${day.format(at)}, ${clock.format(at)}`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}

/** IPv6 short enough for a column, by what tells addresses apart: the range of 64 bits, and the end of the rest. */
export function shortAddress(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(8 - front.length - back.length).fill('0')
  const groups = [...front, ...zeros, ...back]
  const range = groups
    .slice(0, 4)
    .join(':')
    .replace(/(?::0)+$/, '')
  return `${range}::…${groups.at(-1)}`
}

/** The lab's clauses begin in lower case; here they stand alone. */
export function sentence(clause: string): string {
  const text = quoted(clause)
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}

/** `text` in typographic quotes instead of backticks. */
export function quoted(clause: string): string {
  return clause.replace(/`([^`]*)`/g, '“$1”')
}
