// Whatever happens to a line of the shipped file, it is read or its problems are said; the loader itself never fails.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkConfigText } from '../../src/config/load.ts'

const LINES = readFileSync('config/lab.yaml', 'utf8').split('\n')
/** every third line that says something */
const PLACES = LINES.flatMap((line, at) => (/^\s*(#|$)/.test(line) ? [] : [at])).filter((_, at) => at % 3 === 0)

const DAMAGES: Readonly<Record<string, (line: string) => string | undefined>> = {
  'is missing': () => undefined,
  'is given twice': (line) => `${line}\n${line}`,
  'has lost its end': (line) => line.slice(0, Math.ceil(line.length / 2)),
  'is indented': (line) => ` ${line}`,
  'has another value': (line) => line.replace(/: .*/, ': 7'),
  'has nothing for a value': (line) => line.replace(/: .*/, ':'),
  'has a list for a value': (line) => line.replace(/: .*/, ': [[], {}, null]'),
  'has keys of objects': (line) => line.replace(/\w+:/, '__proto__:').replace(/\w+,/, 'constructor,'),
}

test.each(Object.entries(DAMAGES))('a line that %s', (_what, damage) => {
  const answers = PLACES.map((place) => {
    const text = LINES.flatMap((line, at) => (at === place ? (damage(line) ?? []) : line)).join('\n')
    const { config, issues } = checkConfigText('lab.yaml', text)
    const isBad = issues.some(({ severity }) => severity === 'error')
    return { line: place + 1, isConsistent: (config === undefined) === isBad, isBad }
  })
  expect(answers.filter(({ isConsistent }) => !isConsistent)).toEqual([])
  expect(answers.some(({ isBad }) => isBad)).toBe(true)
})
