import { expect, test } from 'vitest'
import { arrowViolations, LAYERS } from '../../scripts/check-arrow.ts'
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
  ['src/library/policy.ts', "import { loadConfig } from '../config/load.ts'", 'pure and must not import from `config`'],
  ['src/lost/found.ts', '', 'has no place in the arrow'],
])('the check sees a wrong import in %s: %s', (path, text, complaint) => {
  expect(arrowViolations(new Map([[path, text]]))).toEqual([expect.stringContaining(complaint)])
})

test('the composition root may import everything', () => {
  const text = "import { a } from './cli/program.ts'\nimport { b } from 'node:net'\nimport { c } from './net/ip.ts'"
  expect(arrowViolations(new Map([['src/main.ts', text]]))).toEqual([])
})

test.each(['CONTRIBUTING.md', 'docs/decisions/0015-rooms.md'])('%s draws the arrow that is checked', (file) => {
  const drawing = /^```\n(net → [\s\S]*?)^```$/m.exec(files.get(file) ?? '')?.[1] ?? ''
  const drawn = drawing.split('→').map((rooms) =>
    rooms
      .replaceAll(/[{}\n]|\.ts/g, ' ')
      .trim()
      .split(/ +/)
      .sort(),
  )
  expect(drawn).toEqual(LAYERS.map((rooms) => [...rooms].sort()))
})
