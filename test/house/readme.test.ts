// The README and the pages that begin where it ends keep their word: every command is run and prints what they say.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { run } from '../cli/run.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
const FOLLOWED = ['README.md', 'docs/clients.md', 'docs/trying-rules.md'] as const
const blocks = (file: (typeof FOLLOWED)[number], language: string) =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, text = '']) =>
    name === language ? [text] : [],
  )

let running: PrivateLab
beforeAll(async () => {
  running = await startPrivateLab()
})
afterAll(() => running.close())

/** The pages speak of the lab that `npm start` runs; here a private one stands in for it. */
function here(command: string): string {
  const port = String(running.lab.listeners[0]?.port)
  return command
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replaceAll('port: 8080', `port: ${port}`)
    .replaceAll('npx egresslab verify', `npx egresslab verify --proxy 127.0.0.1:${port}`)
    .replaceAll('npx egresslab', `'${process.execPath}' src/main.ts`)
}

/** Standard output; never rejects, so that what went wrong shows in the comparison. */
function printed(file: string, args: readonly string[]): Promise<string> {
  const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent' }
  return new Promise((resolve) => {
    execFile(file, args, { cwd: ROOT, env, timeout: PATIENCE_MS }, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
}

describe.each([
  ['README.md', 4],
  ['docs/clients.md', 5],
  ['docs/trying-rules.md', 8],
] as const)('every command prints what %s says', (file, count) => {
  const commands = blocks(file, 'console').flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((entry) => [entry.slice(0, entry.indexOf('\n')), entry.slice(entry.indexOf('\n') + 1)] as const),
  )

  test('there are commands', () => expect(commands).toHaveLength(count))

  test.each(commands)('%s', async (command, output) => {
    expect(await printed('sh', ['-c', here(command)])).toBe(output)
  })
})

describe('every program prints what its comment says', () => {
  const programs = blocks('docs/clients.md', 'js').map((text) => [/from '(\w+)'/.exec(text)?.[1] ?? '', text] as const)

  test('there are programs', () => expect(programs.map(([library]) => library)).toEqual(['undici', 'socks']))

  test.each(programs)('%s', async (_library, text) => {
    const promised = /\/\/ ([\d.]+)$/m.exec(text)?.[1]
    expect(await printed(process.execPath, ['--input-type=module', '-e', here(text)])).toBe(`${promised}\n`)
  })
})

test('the listener for browsers, put into the shipped configuration, is who it says', async () => {
  const [listener = ''] = blocks('docs/clients.md', 'yaml')
  const { checkConfigText } = await import('../../src/config/load.ts')
  const shipped = readFileSync(join(ROOT, 'config/lab.yaml'), 'utf8')
  const { config, issues } = checkConfigText(
    'config/lab.yaml',
    shipped.replace(/^listeners:\n/m, (line) => line + listener),
  )
  expect(issues).toEqual([])
  expect(config?.listeners[0]).toMatchObject({ name: 'carol', port: 8081, fixedUser: 'carol@example.com' })
})

function firstWords(): string[] {
  const rows = readme.slice(readme.indexOf('## Verbs'), readme.indexOf('Exit codes:')).matchAll(/^\| `([a-z]+)/gm)
  return [...rows].map(([, verb = '']) => verb)
}

test('the table of verbs has every verb, and no other', async () => {
  const { stdout } = await run(['--help'])
  const verbs = [...stdout.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, verb]) => verb).filter((verb) => verb !== 'help')
  const rows = readme.slice(readme.indexOf('## Verbs')).matchAll(/^\| (`[^|]+) \|/gm)
  // the first word of a row is a verb; further ones are verbs or what the first does: `colo list`, `down`
  const named = new Set([...rows].flatMap(([, cell = '']) => [...cell.matchAll(/`([a-z]+)/g)].map(([, verb]) => verb)))
  expect(verbs.filter((verb) => !named.has(verb))).toEqual([])
  expect([...firstWords()].filter((verb) => !verbs.includes(verb))).toEqual([])
})

test('every page of docs/ is on its index', () => {
  const index = readFileSync(join(ROOT, 'docs/README.md'), 'utf8')
  const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
  expect(pages.length).toBeGreaterThan(30)
  expect(pages.filter((page) => !index.includes(`](${page})`))).toEqual([])
})
