// docs/testing.md keeps its word: a folder with nothing in it but the packed tarball, what the page says to write, and what it says
// happens then. Each program runs as a process of its own.

import { execFile } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installTarball, packCheckout } from '../../scripts/install-packed.ts'
import { ROOT } from '../../scripts/source-files.ts'
import { findChromium } from '../console/browser.ts'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'

const page = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8')
const blocks = [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}))
/** by the name in its first line; the others, and the pieces of one file, are found by their text */
const files = new Map(
  blocks.flatMap(({ text }) => {
    const name = /^(?:#|\/\/) ([\w.]+)\n/.exec(text)?.[1]
    return name === undefined ? [] : [[name, text] as const]
  }),
)
const outputs = blocks.filter(({ language }) => language === '').map(({ text }) => text)

let made: string
let folder: string
beforeAll(() => {
  made = mkdtempSync(join(tmpdir(), 'egresslab-recipes-'))
  folder = join(made, 'project')
  installTarball(packCheckout(made), folder, { optional: true })
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
  for (const name of ['vitest', 'playwright-core']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  }
  symlinkSync('../vitest/vitest.mjs', join(folder, 'node_modules', '.bin', 'vitest'))
})
afterAll(() => rmSync(made, { recursive: true, force: true }))

function run(command: string, ...args: readonly string[]): Promise<{ code: number; output: string }> {
  const PATH = `${join(process.execPath, '..')}:${process.env.PATH ?? ''}`
  const env = {
    PATH,
    HOME: process.env.HOME ?? '/nonexistent',
    TMPDIR: made,
    NO_COLOR: '1',
    npm_config_offline: 'true',
  }
  return new Promise((resolve) => {
    execFile(command, args, { cwd: folder, env, timeout: PATIENCE_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr })
    })
  })
}

test('from an empty folder: the allowlist test fails as the page says, and passes once the rule is there', async () => {
  const before = await run('npx', 'vitest', 'run', 'erp.test.ts')
  expect(before.code).toBe(1)
  expect(before.output).toContain(outputs[0]?.trim() ?? 'the page shows no failure')
  const rule = blocks.find(({ text }) => text.startsWith('# added to lab.yaml\n'))
  appendFileSync(join(folder, 'lab.yaml'), rule?.text ?? '')
  expect(await run('npx', 'vitest', 'run', 'erp.test.ts')).toMatchObject({ code: 0 })
})

test('vitest', async () => {
  const { code, output } = await run('npx', 'vitest', 'run', 'bank.test.ts')
  expect(output).toContain('2 passed')
  expect(code).toBe(0)
})

test.each(['program.test.mjs', 'policy.test.mjs'])('node:test: %s', async (name) => {
  const { code, output } = await run(process.execPath, '--test', name)
  expect(output).toMatch(/pass 1\b/)
  expect(code).toBe(0)
})

const chromium = findChromium()
test.skipIf(chromium === undefined)('Playwright, a browser per persona', async () => {
  const text = files.get('personas.test.mjs') ?? ''
  writeFileSync(join(folder, 'personas.test.mjs'), text.replace('/usr/bin/chromium', chromium ?? ''))
  const { code, output } = await run(process.execPath, '--test', 'personas.test.mjs')
  expect(output).toMatch(/pass 1\b/)
  expect(code).toBe(0)
})

const pytest = installed('pytest', 'python3-pytest')
test.skipIf(pytest === undefined)('pytest', async () => {
  const { code, output } = await run(pytest ?? '', '-q', '-p', 'no:cacheprovider', 'test_bank.py')
  expect(output).toContain('3 passed')
  expect(code).toBe(0)
})

test('a shell script prints what the page says', async () => {
  const { code, output } = await run('sh', 'check.sh')
  expect(output).toBe(outputs[1])
  expect(code).toBe(0)
})
