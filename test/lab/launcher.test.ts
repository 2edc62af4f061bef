// The commands people type in a checkout, and what they say when a checkout cannot be set up.

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PATIENCE_MS } from '../support/patience.ts'

const ROOT = join(import.meta.dirname, '..', '..')

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function ran(command: string, args: readonly string[], cwd = ROOT): Promise<Ran> {
  const env = { PATH: process.env.PATH ?? '', HOME: tmpdir(), npm_config_update_notifier: 'false' }
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env, timeout: PATIENCE_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

test.each([
  ['npx', ['egresslab']],
  ['npm', ['run', '-s', 'egresslab', '--']],
  ['node', ['scripts/egresslab.mjs']],
])('%s %j runs a verb: its output alone on standard output, its exit code kept', async (command, start) => {
  const version = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version
  expect(await ran(command, [...start, '--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
  const unknown = await ran(command, [...start, 'explian'])
  expect(unknown).toMatchObject({ code: 2, stdout: '' })
  expect(unknown.stderr).toContain("unknown command 'explian'")
})

test('a working directory that was removed is told in one line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-gone-'))
  const program = join(ROOT, 'scripts', 'egresslab.mjs')
  const inside = `cd "$1" && rmdir "$1" && exec "$2" "$3" check`
  expect(await ran('sh', ['-c', inside, 'sh', folder, process.execPath, program])).toEqual({
    code: 2,
    stdout: '',
    stderr: 'egresslab: the working directory was removed; change to one that exists\n',
  })
})

let checkout: string
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'egresslab-checkout-'))
  cpSync(join(ROOT, 'scripts'), join(checkout, 'scripts'), { recursive: true })
  mkdirSync(join(checkout, 'src'))
  writeFileSync(
    join(checkout, 'src', 'main.ts'),
    "process.stdout.write('runs ' + process.argv.slice(2).join(' ') + '\\n')\n",
  )
  // nobody listens there: what needs the registry fails at once
  writeFileSync(join(checkout, '.npmrc'), 'registry=http://127.0.0.1:9/\nfetch-retries=0\n')
})
afterEach(() => rmSync(checkout, { recursive: true, force: true }))

function lock(packages: Readonly<Record<string, unknown>>, dependencies: Readonly<Record<string, string>>): void {
  const root = { name: 'egresslab', version: '0.0.0', dependencies }
  writeFileSync(join(checkout, 'package.json'), JSON.stringify({ ...root, type: 'module' }))
  writeFileSync(
    join(checkout, 'package-lock.json'),
    JSON.stringify({ ...root, lockfileVersion: 3, packages: { '': root, ...packages } }),
  )
}

const start = () => ran(process.execPath, ['scripts/egresslab.mjs', 'x', 'y'], checkout)

test('without the registry it says what it needed and what npm said, on standard error, and exits 2', async () => {
  lock({ 'node_modules/left-out': { version: '1.0.0' } }, { 'left-out': '1.0.0' })
  const { code, stdout, stderr } = await start()
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('egresslab: installing dependencies with npm, once …\n')
  expect(stderr).toContain('npm could not install dependencies (is the npm registry within reach?)')
  expect(stderr).toContain('127.0.0.1:9')
})

test('dependencies installed by hand are not installed again, and not even looked at the second time', async () => {
  lock(
    { 'node_modules/here': { version: '1.0.0' }, 'node_modules/other-system': { version: '1.0.0', optional: true } },
    { here: '1.0.0' },
  )
  mkdirSync(join(checkout, 'node_modules'))
  const note = join(checkout, 'node_modules', '.package-lock.json')
  writeFileSync(note, JSON.stringify({ packages: { 'node_modules/here': { version: '1.0.0' } } }))
  expect(await start()).toEqual({ code: 0, stdout: 'runs x y\n', stderr: '' })
  rmSync(note)
  expect(await start()).toEqual({ code: 0, stdout: 'runs x y\n', stderr: '' })
})

test('dependencies of another version are not good enough', async () => {
  lock({ 'node_modules/here': { version: '2.0.0' } }, { here: '2.0.0' })
  mkdirSync(join(checkout, 'node_modules'))
  const note = join(checkout, 'node_modules', '.package-lock.json')
  writeFileSync(note, JSON.stringify({ packages: { 'node_modules/here': { version: '1.0.0' } } }))
  expect(await start()).toMatchObject({ code: 2, stdout: '' })
})
