// Pictures in reports, as SVG that stands alone: bars by name, and what happened to whom over time. Text takes the colour of its
// surroundings; colours of marks are told apart on light and dark, and nothing is said by colour alone.

const [WIDTH, ROW, PADDING, LETTER] = [960, 22, 8, 7]
const TONES = { good: '#2f81d6', bad: '#d1453b', none: '#8a8a8a' } as const
const PALETTE = ['#2f81d6', '#c9772b', '#3b9a5c', '#8f5fc4', '#b0892c', '#3f9da3', '#bb5b8f', '#6d7f8f'] as const

export interface Bar {
  readonly name: string
  readonly value: number
  /** behind the bar */
  readonly note: string
  readonly tone: keyof typeof TONES
}

/** One bar below the other, the longest as wide as there is room. `label`: what they show. */
export function barChart(label: string, bars: readonly Bar[]): string {
  const names = widest(bars.map(({ name }) => name))
  const notes = widest(bars.map(({ note }) => note))
  const room = Math.max(120, WIDTH - names - notes - 4 * PADDING)
  const most = Math.max(1, ...bars.map(({ value }) => value))
  const left = names + 2 * PADDING
  const rows = bars.map(({ name, value, note, tone }, at) => {
    const y = at * ROW
    const width = value === 0 ? 2 : Math.max(2, (value / most) * room)
    return [
      text(names + PADDING, y + 15, name, 'end'),
      `<rect x="${left}" y="${y + 4}" width="${width.toFixed(1)}" height="${ROW - 8}" fill="${TONES[tone]}"/>`,
      text(left + width + PADDING, y + 15, note),
    ].join('')
  })
  return picture(label, bars.length * ROW + PADDING, rows)
}

export interface TimelineLane {
  readonly name: string
  /** in order, each until the next; `text`: what holds from then on */
  readonly spans: readonly { readonly from: number; readonly text: string }[]
  /** when it was refused */
  readonly refused: readonly { readonly from: number; readonly to: number }[]
}

export interface TimelineMark {
  readonly at: number
  readonly what: string
}

/** Lanes over the time from 0 to `end`, with numbered marks at what happened. `timeOf`: a time in words. */
export function timelineChart(
  label: string,
  lanes: readonly TimelineLane[],
  {
    marks,
    end,
    timeOf,
  }: { readonly marks: readonly TimelineMark[]; readonly end: number; readonly timeOf: (at: number) => string },
): string {
  const names = widest(lanes.map(({ name }) => name))
  const left = names + 2 * PADDING
  // a little more than the whole, to show what holds at the end
  const last = WIDTH - PADDING
  const x = (at: number) => left + (end === 0 ? 0 : (at / (end * 1.06)) * (last - left))
  const colours = new Map<string, string>()
  const colourOf = (what: string) => {
    const known = colours.get(what) ?? PALETTE[colours.size % PALETTE.length] ?? TONES.none
    colours.set(what, known)
    return known
  }
  const height = ROW + lanes.length * (ROW + 6)
  const rows = lanes.map(({ name, spans, refused }, at) => {
    const y = ROW + at * (ROW + 6)
    const parts = spans.map(({ from, text: what }, nth) => {
      const next = spans[nth + 1]
      const [start, stop] = [x(from), next === undefined ? last : x(next.from)]
      const words = what.length * LETTER < stop - start ? text(start + 4, y + 14, what, 'start', '#fff') : ''
      const box = `<rect x="${start.toFixed(1)}" y="${y}" width="${Math.max(2, stop - start - 1).toFixed(1)}" height="${ROW - 3}" fill="${colourOf(what)}"`
      return `${box}><title>${escaped(`${name}: ${what} from ${timeOf(from)}`)}</title></rect>${words}`
    })
    const refusals = refused.map(({ from, to }) => {
      const title = `${name}: refused from ${timeOf(from)} to ${timeOf(to)}`
      return `<rect x="${x(from).toFixed(1)}" y="${y + ROW - 3}" width="${Math.max(2, x(to) - x(from)).toFixed(1)}" height="4" fill="${TONES.bad}"><title>${escaped(title)}</title></rect>`
    })
    return [text(names + PADDING, y + 14, name, 'end'), ...parts, ...refusals].join('')
  })
  const lines = marks.map(({ at, what }, nth) => {
    const place = x(at).toFixed(1)
    return `<line x1="${place}" y1="${ROW - 6}" x2="${place}" y2="${height}" stroke="currentColor" stroke-dasharray="2 3"/><circle cx="${place}" cy="10" r="8" fill="none" stroke="currentColor"/>${text(x(at), 14, String(nth + 1), 'middle')}<title>${escaped(what)}</title>`
  })
  const axis = [text(left, height + 16, timeOf(0)), text(x(end), height + 16, timeOf(end), 'middle')]
  return picture(label, height + 24, [...rows, ...lines.map((line) => `<g>${line}</g>`), ...axis])
}

function picture(label: string, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(label)}" font-family="system-ui, sans-serif" font-size="12">
${parts.join('\n')}
</svg>
`
}

const LONGEST_NAME = 44

function widest(texts: readonly string[]): number {
  return Math.min(LONGEST_NAME, Math.max(0, ...texts.map(({ length }) => length))) * LETTER
}

function text(x: number, y: number, words: string, anchor = 'start', fill = 'currentColor'): string {
  const shown = words.length > LONGEST_NAME ? `${words.slice(0, LONGEST_NAME - 1)}…` : words
  return `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}" fill="${fill}">${escaped(shown)}</text>`
}

/** Text as it stands in HTML and XML, in attributes too. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
