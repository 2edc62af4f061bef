// Rows of text in aligned columns, as people read them on a terminal.

import { stripVTControlCharacters } from 'node:util'

/** The rows, columns two blanks apart, each line ending in a line feed. Colour codes take no width. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell))
  }
  const line = (row: readonly string[]) => row.map((cell, at) => cell + ' '.repeat((widths[at] ?? 0) - width(cell)))
  return rows.map((row) => `${line(row).join('  ').trimEnd()}\n`).join('')
}

function width(cell: string): number {
  return stripVTControlCharacters(cell).length
}
