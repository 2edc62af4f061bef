import { expect, test } from 'vitest'
import { citedIds, referenceViolations } from '../../scripts/check-references.ts'
import { sourceFiles } from '../../scripts/source-files.ts'

const files = sourceFiles()

test('every cited requirement is defined, every path a document names exists, every link leads somewhere', () => {
  expect(referenceViolations(files)).toEqual([])
})

test('the check looks at many ids of every kind', () => {
  const cited = new Set([...files].flatMap(([path, text]) => [...citedIds(path, text)]))
  for (const id of ['E1', 'R9', 'B4', 'G2', 'TU-04', 'EG-01', 'RS-03', 'LC-01', 'CF-05', 'SS-04', 'C1', 'L3.4', 'P2']) {
    expect(cited).toContain(id)
  }
})

const REFERENCE = ['docs/reference/behaviour.md', '<a id="e1"></a>**[E1]** Outcomes.\n'] as const

test.each([
  ['src/policy/decide.ts', '// Decides ([E99]).\n', 'cites E99'],
  ['test/proxy/tunnel.test.ts', "test('TU-99: half-close', () => {})\n", 'cites TU-99'],
  ['src/analysis/best-practices.ts', "const code = 'practice.P99'\n", 'cites P99'],
  ['src/expression/lenient.ts', '/** C99: quoted. */\n', 'cites C99'],
  ['docs/udp.md', 'As [E99] says.\n', 'cites E99'],
  ['src/policy/decide.ts', '// Decides (gateway-egress section 4).\n', 'which no reader has'],
  ['src/expression/parse.ts', '// Reads (wirefilter sections 4 and 6).\n', 'which no reader has'],
  ['docs/udp.md', '`src/nowhere/udp.ts`\n', 'names `src/nowhere/udp.ts`'],
  ['docs/udp.md', '[gone](gone.md)\n', 'links to `gone.md`'],
  ['docs/udp.md', '# UDP\n[gone](#tcp)\n', 'a heading that is not there'],
  ['docs/reference/language.md', '<a id="e1"></a>Twice.\n', 'defines e1 twice'],
])('the check sees what is wrong in %s: %j', (path, text, complaint) => {
  const planted = new Map([REFERENCE, [path, text]])
  expect(referenceViolations(planted, (file) => planted.has(file))).toEqual([expect.stringContaining(complaint)])
})

test('the check takes what is right', () => {
  const planted = new Map([
    REFERENCE,
    ['src/policy/decide.ts', '// Decides ([E1]).\n'],
    ['docs/udp.md', '# UDP here\n`src/policy/decide.ts`, [itself](#udp-here), [E1](reference/behaviour.md#e1)\n'],
  ])
  expect(referenceViolations(planted, (file) => planted.has(file))).toEqual([])
})
