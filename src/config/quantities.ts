// Durations and sizes as people write them: a number and a unit.

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
const PERIOD_UNITS = { ...DURATION_UNITS, d: 86_400_000, w: 7 * 86_400_000 }
const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** `250ms`, `15s`, `1.5m`, `8h` in milliseconds, 1 ms … 24.8 days (what a timer can hold); `undefined` otherwise. */
export function parseDurationMs(text: string): number | undefined {
  const value = parseQuantity(text, DURATION_UNITS)
  return value === undefined || value > 2 ** 31 - 1 ? undefined : value
}

/** The same with `7d` and `6w`, as long as anybody likes: for clocks, not for timers. */
export function parsePeriodMs(text: string): number | undefined {
  return parseQuantity(text, PERIOD_UNITS)
}

/** A time counted from some beginning, in milliseconds: a period, or none at all (`0s`). */
export function parseMomentMs(text: string): number | undefined {
  return /^0(ms|[smhdw])?$/.test(text) ? 0 : parsePeriodMs(text)
}

/** `512B`, `64KiB`, `1.5MiB`, `1GiB` in bytes, at least 1; `undefined` for anything else. */
export function parseSizeBytes(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS)
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)([A-Za-z]+)$/.exec(text)
  const unit = Object.hasOwn(units, match?.[2] ?? '') ? units[match?.[2] ?? ''] : undefined
  if (match === null || unit === undefined) return undefined
  const value = Math.round(Number(match[1]) * unit)
  return value >= 1 && Number.isSafeInteger(value) ? value : undefined
}

/** RFC 3339's date-time, its seconds and zone optional, or its date alone. `Date.parse` takes much more: `1` is a year. */
const INSTANT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Epoch ms of a time, or of the beginning of a day in UTC; undefined for anything else. */
export function parseInstantMs(text: string): number | undefined {
  const instant = INSTANT.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(instant) ? undefined : instant
}
