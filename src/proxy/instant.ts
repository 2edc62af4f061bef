// Instants as the session log writes them. Reads no clock.

/** The second last written: sessions come thousands to a second, and Date takes 2 µs to spell one. */
let lastSecond = { seconds: Number.NaN, text: '' }

/** Instants spelled lately, by the last digits of their milliseconds: sessions that end together share one text, also in memory. */
const latest = Array.from({ length: 128 }, () => ({ epochMs: Number.NaN, text: '' }))

/** Epoch milliseconds (with fractions) as RFC 3339 in UTC with nine fractional digits. */
export function formatInstant(epochMs: number): string {
  const known = latest[Math.floor(epochMs) % latest.length]
  if (known?.epochMs === epochMs) return known.text
  const seconds = Math.floor(epochMs / 1000)
  const nanos = Math.min(999_999_999, Math.round((epochMs - seconds * 1000) * 1e6))
  // joined, so that it is text in one piece (net/flat-text.ts)
  const text = [spellSecond(seconds), `${String(nanos).padStart(9, '0')}Z`].join('.')
  if (known !== undefined) {
    known.epochMs = epochMs
    known.text = text
  }
  return text
}

function spellSecond(seconds: number): string {
  if (seconds !== lastSecond.seconds) {
    lastSecond = { seconds, text: new Date(seconds * 1000).toISOString().slice(0, 19) }
  }
  return lastSecond.text
}
