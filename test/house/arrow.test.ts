import { expect, test } from 'vitest'
import { arrowViolations } from '../../scripts/check-arrow.ts'
import { sourceFiles } from '../../scripts/source-files.ts'

const files = sourceFiles()

test('every module imports only from its left', () => {
  expect(arrowViolations(files)).toEqual([])
})

test.each([
  ['src/policy/decide.ts', "import { relay } from '../proxy/relay.ts'", 'must not import from `proxy`'],
  ['src/dns/resolve.ts', "import type { X } from '../geo/database.ts'", 'must not import from `geo`'],
  ['src/cli/terminal.ts', "import { startLab } from '../main/lab.ts'", 'must not import from `main`'],
  ['src/net/ip.ts', "import { isIP } from 'node:net'", 'pure and must not import `node:net`'],
  ['src/policy/decide.ts', "import yaml from 'yaml'", 'pure and must not import `yaml`'],
  ['src/policy/decide.ts', 'export const now = () => Date.now()', 'must not use `Date.now`'],
  ['src/proxy/relay.ts', "const late = await import('../cli/io.ts')", 'must not import from `cli`'],
  ['src/net/ip.ts', "export * from '../errors/issue.ts'", 'must not import from `errors`'],
  ['src/net/ip.ts', "import {\n  a,\n  b,\n} from '../policy/rule.ts'", 'must not import from `policy`'],
  ['src/lost/found.ts', '', 'has no place in the arrow'],
])('the check sees a wrong import in %s: %s', (path, text, complaint) => {
  expect(arrowViolations(new Map([[path, text]]))).toEqual([expect.stringContaining(complaint)])
})

test('the composition root may import everything', () => {
  const text = "import { a } from './cli/io.ts'\nimport { b } from 'node:net'\nimport { c } from './net/ip.ts'"
  expect(arrowViolations(new Map([['src/services.ts', text]]))).toEqual([])
})

test('nobody imports src/main.ts, which runs the command line', () => {
  const importers = [...files].filter(([, text]) => /(?:from|import\() ?'[^']*src\/main\.ts'/.test(text))
  expect(importers.map(([path]) => path)).toEqual([])
})
