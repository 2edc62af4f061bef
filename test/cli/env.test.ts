// `env`: every format is read back as it was meant, by the readers it is for, and every client finds its way by the variables, with
// a password in which everything means something to somebody.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv, promisify } from 'node:util'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { announceReady } from '../../src/cli/ready-file.ts'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { run } from './run.ts'

const EVE = 'eve+tests@example.com'
const PASSWORD = `p'a "ß$HOME \`y\\z#%41;=@:/?&ü`
const ECHO = 'http://ipv4.icanhazip.com/'
/** of vnet-AMER */
const LOS_ANGELES = '203.0.113.40'
/** of vnet-EMEA */
const LONDON = '203.0.113.20'

let configFolder: string
let given: PrivateLab
let file: string
let here: readonly string[]
beforeAll(async () => {
  const config = parse(readFileSync('config/lab.yaml', 'utf8'))
  config.users.push({ email: EVE, password: PASSWORD })
  config.listeners.push({ name: 'carol', port: 8081, user: 'carol@example.com', virtual_network: 'vnet-EMEA' })
  configFolder = mkdtempSync(join(tmpdir(), 'egresslab-env-'))
  const configFile = join(configFolder, 'lab.yaml')
  writeFileSync(configFile, stringify(config))
  given = await startPrivateLab({ configFile, ephemeral: false })
  file = join(given.folder, 'ready.json')
  announceReady(file).write(given.lab)
  here = ['--ready-file', file]
})
afterAll(async () => {
  await given.close()
  rmSync(configFolder, { recursive: true, force: true })
})

const asEve = () => [...here, '--user', EVE, '--vnet', 'vnet-AMER']

async function variables(...args: readonly string[]): Promise<Record<string, string>> {
  const { stdout, stderr, code } = await run(['env', ...here, ...args, '--format', 'json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

async function printed(program: string, args: readonly string[], surroundings: Record<string, string>) {
  const PATH = process.env.PATH ?? ''
  const { stdout } = await promisify(execFile)(program, args, {
    env: { PATH, HOME: given.folder, ...surroundings },
    timeout: PATIENCE_MS,
  })
  return stdout
}

test('a shell that evaluates the output has every variable as it is', async () => {
  const expected = await variables('--user', EVE)
  const { stdout } = await run(['env', ...here, '--user', EVE])
  expect(stdout).toMatch(/^export http_proxy='/)
  const script = `${stdout}\nexec '${process.execPath}' -p 'JSON.stringify(process.env)'`
  // for this Node they would mean something
  const quiet = script.replaceAll(/^export NODE_.*$/gm, '')
  const seen = JSON.parse(await printed('sh', ['-c', quiet], {}))
  const { NODE_EXTRA_CA_CERTS: _, NODE_USE_ENV_PROXY: __, ...rest } = expected
  expect(seen).toMatchObject(rest)
})

test('the ports are those of the lab that is asked, however it came by them, and its certificate is in its state folder', async () => {
  const address = [
    '--api',
    `127.0.0.1:${given.lab.api.port}`,
    '--state',
    given.folder,
    '-c',
    join(configFolder, 'lab.yaml'),
  ]
  const { stdout, stderr } = await run(['env', ...address, '--user', EVE, '--vnet', 'vnet-AMER', '--format', 'json'])
  expect(stderr).toBe('')
  const seen = JSON.parse(stdout)
  expect(seen).toEqual(await variables('--user', EVE, '--vnet', 'vnet-AMER'))
  expect(new URL(seen.http_proxy).port).toBe(String(given.lab.listeners[0]?.port))
})

test("another folder's lab is not taken for this one's: `env` says whose it is not, `run` starts its own, and nothing is made here", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-elsewhere-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const config = parse(readFileSync(join(configFolder, 'lab.yaml'), 'utf8'))
  config.api = { port: given.lab.api.port }
  const file = join(folder, 'lab.yaml')
  writeFileSync(file, stringify(config))
  const state = join(folder, 'state')
  for (const made of [false, true]) {
    if (made) {
      mkdirSync(state, { mode: 0o700 })
      writeFileSync(join(state, 'api-token'), 'the-token-of-another-lab', { mode: 0o600 })
    }
    const options = ['-c', file, '--state', state]
    const { stdout, stderr, code } = await run(['env', ...options])
    expect({ stdout, code }).toEqual({ stdout: '', code: 2 })
    expect(stderr).toContain(`the lab that runs is not the one of \`${state}\``)
    const child = [
      join(process.cwd(), 'src/main.ts'),
      'run',
      ...options,
      '--user',
      'bob@example.com',
      '--',
      'curl',
      '-qsS',
      ECHO,
    ]
    const own = await promisify(execFile)(process.execPath, child, { timeout: PATIENCE_MS })
    expect(own.stdout.trim()).toBe('203.0.113.10')
    expect(own.stderr).toContain('the program gets a lab of its own')
    expect(existsSync(state)).toBe(made)
  }
})

test('dotenv is read back by a reader of such files, and has no quotes where none are needed', async () => {
  const { stdout } = await run(['env', ...here, '--user', 'bob@example.com', '--format', 'dotenv'])
  const { JAVA_TOOL_OPTIONS, ...plain } = await variables('--user', 'bob@example.com')
  expect(parseEnv(stdout)).toEqual({ ...plain, JAVA_TOOL_OPTIONS })
  for (const [name, value] of Object.entries(plain))
    expect(stdout).toContain(`\n${name}=${value}\n`.slice(name === 'http_proxy' ? 1 : 0))
  const refused = await run(['env', ...here, '--user', EVE, '--format', 'dotenv'])
  expect(refused).toMatchObject({ code: 2, stdout: '' })
  expect(refused.stderr).toContain('a value with a single quote cannot be written as dotenv')
})

test('fish and PowerShell get their own quoting', async () => {
  const asTyped = ['--user', EVE, '--password', `a'b\\c‘d`]
  const { JAVA_TOOL_OPTIONS = '' } = await variables(...asTyped)
  const fish = await run(['env', ...here, ...asTyped, '--format', 'fish'])
  const escaped = JAVA_TOOL_OPTIONS.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
  expect(escaped).toContain("a\\'b\\\\c‘d")
  expect(fish.stdout).toContain(`set -gx JAVA_TOOL_OPTIONS '${escaped}'\n`)
  if (installed('fish', 'fish') !== undefined) {
    const expected = await variables(...asTyped)
    const names = Object.keys(expected).filter((name) => !name.startsWith('NODE_'))
    const script = `${fish.stdout.replaceAll(/^set -gx NODE_.*$/gm, '')}\nexec env -0`
    const seen = (await printed('fish', ['--no-config', '-c', script], {})).split('\0')
    expect(seen).toEqual(expect.arrayContaining(names.map((name) => `${name}=${expected[name]}`)))
  }
  const powershell = await run(['env', ...here, ...asTyped, '--format', 'powershell'])
  const doubled = JAVA_TOOL_OPTIONS.replaceAll("'", "''").replaceAll('‘', '‘‘')
  expect(powershell.stdout).toContain(`$env:JAVA_TOOL_OPTIONS = '${doubled}'\n`)
})

const PYTHON_URLLIB = `import urllib.request; print(urllib.request.urlopen('${ECHO}').read().decode(), end='')`
const PYTHON_REQUESTS = `import requests; print(requests.get('${ECHO.replace('http:', 'https:')}').text, end='')`
const NODE_FETCH = `process.stdout.write(await (await fetch('${ECHO.replace('http:', 'https:')}')).text())`

test.each([
  ['curl', 'curl', ['-q', '-sS', ECHO.replace('http:', 'https:')]],
  ['wget', 'wget', ['-q', '-O', '-', ECHO]],
  ['python3', 'python3', ['-c', PYTHON_URLLIB]],
  ['python3', 'python3-requests', ['-c', PYTHON_REQUESTS]],
  ['node', 'nodejs', ['--input-type=module', '-e', NODE_FETCH]],
] as const)('%s (%s) logs in with the password, and is in the virtual network', async (program, from, args) => {
  if (program !== 'node' && installed(program, from) === undefined) return
  const surroundings = await variables(...asEve().slice(here.length))
  const path = program === 'node' ? process.execPath : program
  expect((await printed(path, args, surroundings)).trim()).toBe(LOS_ANGELES)
})

test('Java finds the proxy, and a program that asks for it the login', {
  skip: installed('java', 'default-jdk-headless') === undefined,
}, async () => {
  const source = join(given.folder, 'Ask.java')
  writeFileSync(
    source,
    `import java.net.*;
    public class Ask { public static void main(String[] a) throws Exception {
      String user = System.getProperty("http.proxyUser");
      if (user != null) Authenticator.setDefault(new Authenticator() {
        protected PasswordAuthentication getPasswordAuthentication() {
          return new PasswordAuthentication(user, System.getProperty("http.proxyPassword").toCharArray()); } });
      URLConnection asked = new URL("${ECHO}").openConnection();
      asked.setRequestProperty("Accept", "text/plain");
      System.out.print(new String(asked.getInputStream().readAllBytes())); } }`,
  )
  for (const [args, address] of [
    [['--user', 'bob@example.com', '--vnet', 'vnet-AMER'], LOS_ANGELES],
    [['--listener', 'carol'], LONDON],
  ] as const) {
    const { JAVA_TOOL_OPTIONS = '' } = await variables(...args)
    expect((await printed('java', [source], { JAVA_TOOL_OPTIONS })).trim()).toBe(address)
  }
})

test('without a user it is the first one, device and family go along, and what the lab does not know is refused', async () => {
  expect((await variables()).HTTP_PROXY).toContain('//alice%40example.com:lab-alice@')
  const { HTTP_PROXY } = await variables('--user', 'bob@example.com', '--device', 'kiosk', '--family', '4')
  expect(HTTP_PROXY).toContain('//bob%40example.com%3Bdevice%3Dkiosk%3Bfamily%3D4:lab-bob@127.0.0.1:')
  for (const [option, value, message] of [
    ['--user', 'nobody@example.com', 'the configuration has no user `nobody@example.com`'],
    ['--vnet', 'vnet-APAC', 'there is no virtual network `vnet-APAC`'],
    ['--device', 'toaster', 'there is no device `toaster`'],
    ['--listener', 'side', 'there is no listener `side`'],
  ] as const) {
    const refused = await run(['env', ...here, option, value])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain(message)
  }
})

test('a ready file that is none, and one whose lab is gone, are named', async () => {
  const bad = join(given.folder, 'bad.json')
  writeFileSync(bad, '{}')
  const missing = join(given.folder, 'missing.json')
  const stale = join(given.folder, 'stale.json')
  const ready = JSON.parse(readFileSync(file, 'utf8'))
  writeFileSync(stale, JSON.stringify({ ...ready, api: { url: 'http://127.0.0.1:9' } }))
  for (const [path, message] of [
    [bad, 'this is not what `start --ready-file` writes'],
    [missing, 'cannot be read: ENOENT'],
    [stale, 'no lab is running at http://127.0.0.1:9'],
  ] as const) {
    const refused = await run(['env', '--ready-file', path])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain(message)
  }
})
