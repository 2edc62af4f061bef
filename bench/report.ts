// Tables for people and files for comparing runs.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A Markdown table; the first column is left-aligned, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => (row[at] ?? '').length)))
  const isNumber = head.map((_, at) => at > 0 && rows.every((row) => /^[\d.,]+( %)?$/.test(row[at] ?? '')))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => (isNumber[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))).join(' | ')} |\n`
  const rule = `|${widths.map((width, at) => `${'-'.repeat(width + 1)}${isNumber[at] ? ':' : '-'}`).join('|')}|\n`
  return line(head) + rule + rows.map(line).join('')
}

/** Keeps a run's figures as bench/results/<tag>/<name>.json. */
export async function keepResults(tag: string, name: string, figures: unknown): Promise<void> {
  const folder = join(import.meta.dirname, 'results', tag)
  await mkdir(folder, { recursive: true })
  const document = { at: new Date().toISOString(), node: process.version, figures }
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(document, null, 2)}\n`)
}
