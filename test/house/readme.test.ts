// The README keeps its word: every command in it is run and prints what it says, every link leads somewhere.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { run } from '../cli/run.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
const blocks = (language: string) =>
  [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, text = '']) =>
    name === language ? [text] : [],
  )

let running: PrivateLab
beforeAll(async () => {
  running = await startPrivateLab()
})
afterAll(() => running.close())

/** The README speaks of the lab that `npm start` runs; here a private one stands in for it. */
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

describe('every command prints what the README says', () => {
  const commands = blocks('console').flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((entry) => [entry.slice(0, entry.indexOf('\n')), entry.slice(entry.indexOf('\n') + 1)] as const),
  )

  test('there are commands', () => expect(commands.length).toBeGreaterThan(8))

  test.each(commands)('%s', async (command, output) => {
    expect(await printed('sh', ['-c', here(command)])).toBe(output)
  })
})

describe('every program prints what its comment says', () => {
  const programs = blocks('js').map((text) => [/from '(\w+)'/.exec(text)?.[1] ?? '', text] as const)

  test('there are programs', () => expect(programs.map(([library]) => library)).toEqual(['undici', 'socks']))

  test.each(programs)('%s', async (_library, text) => {
    const promised = /\/\/ ([\d.]+)$/m.exec(text)?.[1]
    expect(await printed(process.execPath, ['--input-type=module', '-e', here(text)])).toBe(`${promised}\n`)
  })
})

test('the listener for browsers, put into the shipped configuration, is who it says', async () => {
  const [listener = ''] = blocks('yaml')
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

test('every page of docs/ is on the map', () => {
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
  expect(pages.filter((page) => !readme.includes(`](docs/${page})`))).toEqual([])
})

test.each(['README.md', 'CONTRIBUTING.md', 'docs/errors.md'])(
  'every link in %s leads to a file that is there',
  (file) => {
    const text = readFileSync(join(ROOT, file), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, link = '']) => link)
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(file), link)))).toEqual([])
  },
)
