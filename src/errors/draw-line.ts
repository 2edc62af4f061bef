// One line of a person's text with carets under a part of it. A long line (a machine's JSON, say) is shown around the part
// only: a thousand problems in it must not repeat it a thousand times.

/** Most characters of a line that are shown. */
const WIDTH = 160
/** Characters shown before the part when the line is cut. */
const LEAD = 40

/** Two lines: the text, and `^` under `length` characters from the 1-based `column`. Tabs keep their place. */
export function drawLine(text: string, column: number, length: number): string {
  const start = text.length <= WIDTH ? 0 : Math.max(0, Math.min(column - 1 - LEAD, text.length - WIDTH))
  const end = start + WIDTH
  const before = start === 0 ? '' : '… '
  const after = end >= text.length ? '' : ' …'
  const shown = `${before}${text.slice(start, end)}${after}`
  const indent = `${before}${text.slice(start, column - 1)}`.replace(/\S/g, ' ')
  const carets = '^'.repeat(Math.max(1, Math.min(length, end - (column - 1))))
  return `${shown}\n${indent}${carets}`
}
