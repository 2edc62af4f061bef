// Every mistake in a configuration is found, at its place, in words that say what to do; all of them at once.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { checkConfigText } from '../../src/config/load.ts'
import type { Issue } from '../../src/errors/issue.ts'

const CASES = readFileSync('test/config/broken-files.txt', 'utf8')
  .split(/^=== /m)
  .slice(1)
  .map((section) => {
    const name = section.slice(0, section.indexOf('\n'))
    const [text = '', problems = ''] = section.slice(name.length + 1).split(/^---\n/m)
    return { name, text, problems: problems.trim().split('\n') }
  })

function lineOf({ line, column, path, code, message, hint }: Issue): string {
  const where = path === undefined ? '-' : path.join('/') || '.'
  return `${line}:${column} ${where} ${code}: ${message}${hint === undefined ? '' : ` | ${hint}`}`
}

describe('a file with', () => {
  test.each(CASES)('$name', ({ text, problems }) => {
    const { config, issues } = checkConfigText('lab.yaml', text)
    expect(issues.map(lineOf)).toEqual(problems)
    expect(config).toBeUndefined()
  })
})

test('the table has the cases it had', () => {
  expect(CASES.length).toBeGreaterThanOrEqual(95)
})

test('every problem names the file and shows the line with carets under the place', () => {
  const drawn = CASES.flatMap(({ text }) => {
    const lines = text.split('\n')
    return checkConfigText('dir/lab.yaml', text).issues.map((issue) => ({ issue, lines }))
  })
  for (const { issue, lines } of drawn) {
    expect(issue.file).toBe('dir/lab.yaml')
    const line = lines[(issue.line ?? 0) - 1] ?? ''
    if (line === '') continue
    const [shown, carets] = issue.drawing?.split('\n') ?? []
    expect(shown).toBe(line)
    expect(carets?.indexOf('^')).toBe((issue.column ?? 0) - 1)
  }
})

test('messages are one lower-case clause without a full stop', () => {
  const messages = CASES.flatMap(({ text }) => checkConfigText('lab.yaml', text).issues.map(({ message }) => message))
  for (const message of messages) expect(message).toMatch(/^[a-z`].*[^.]$/)
})
