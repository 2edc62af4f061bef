// The action of action.yml, run as a runner does: its inputs put into the environment, its steps in bash, in a repository with a pull
// request. Steps that use other actions, and npm's installation from the registry, are not run.

import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ROOT } from '../../scripts/source-files.ts'
import { PATIENCE_MS } from '../support/patience.ts'

interface Step {
  readonly id?: string
  readonly uses?: string
  readonly run?: string
  readonly shell?: string
  readonly env?: Readonly<Record<string, string>>
}
interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>
  readonly runs: { readonly steps: readonly Step[] }
}
const ACTION: Action = parse(readFileSync(join(ROOT, 'action.yml'), 'utf8'))

let folder: string
let repository: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-action-'))
  repository = join(folder, 'repository')
  mkdirSync(join(repository, 'tests'), { recursive: true })
  // stands for what npm would have installed
  const bin = join(folder, 'egresslab', 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  writeFileSync(join(bin, 'egresslab'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'src/main.ts')}' "$@"\n`)
  chmodSync(join(bin, 'egresslab'), 0o755)
  write('lab.yaml', readFileSync(join(ROOT, 'config/init/lab.yaml'), 'utf8'))
  write('tests/egress.test.yaml', readFileSync(join(ROOT, 'config/init/egress.test.yaml'), 'utf8'))
  git('init', '-q', '-b', 'main')
  commit('before')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, text: string) => writeFileSync(join(repository, name), text)
const read = (name: string) => readFileSync(join(repository, name), 'utf8')
const git = (...args: readonly string[]) => execFileSync('git', args, { cwd: repository, stdio: 'pipe' })
function commit(message: string) {
  git('add', '-A')
  git('-c', 'user.name=t', '-c', 'user.email=t@example.com', 'commit', '-qm', message)
}

/** Runs the action's own steps with these inputs. */
function runAction(inputs: Readonly<Record<string, string>>) {
  const known: Readonly<Record<string, string>> = {
    ...Object.fromEntries(Object.entries(ACTION.inputs).map(([name, input]) => [`inputs.${name}`, input.default])),
    ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`inputs.${name}`, value])),
    'github.action_path': ROOT,
  }
  const filledIn = (text: string) =>
    text.replaceAll(/\$\{\{ ([\w.-]+) \}\}/g, (_all, name: string) => known[name] ?? '')
  const runner = {
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: folder,
    RUNNER_TEMP: folder,
    GITHUB_STEP_SUMMARY: join(folder, 'summary.md'),
    GITHUB_OUTPUT: join(folder, 'output'),
  }
  const steps = ACTION.runs.steps.filter(({ run }) => run !== undefined && !run.startsWith('npm install'))
  return steps.map(({ run = '', shell, env = {} }) => {
    expect({ run, shell }).toEqual({ run: expect.not.stringContaining('${{'), shell: 'bash' })
    const given = Object.fromEntries(Object.entries(env).map(([name, text]) => [name, filledIn(text)]))
    const options = { cwd: repository, env: { ...runner, ...given }, encoding: 'utf8', timeout: PATIENCE_MS } as const
    return spawnSync('bash', ['-eo', 'pipefail', '-c', run], options)
  })
}

test('a pull request is checked, tested, replayed and compared; summary, comment and reports are written', () => {
  const session = {
    Email: 'alice@example.com',
    SourceIP: '198.51.100.7',
    SourcePort: 40000,
    OriginIP: '198.51.100.20',
    OriginPort: 443,
    Protocol: 'TCP',
    ResolvedFQDN: 'bank.saas.test',
    EgressIP: '203.0.113.20',
    EgressColoName: 'LHR',
    EgressRuleName: 'Finance to the bank',
  }
  write('sessions.ndjson', `${JSON.stringify(session)}\n`)
  git('checkout', '-qb', 'change')
  write('lab.yaml', read('lab.yaml').replace('ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.30', 'ipv4: 203.0.113.30'))
  commit('after')
  const [ran] = runAction({ base: 'main', recording: 'sessions.ndjson' })
  expect({ code: ran?.status, stderr: ran?.stderr }).toEqual({ code: 1, stderr: '' })
  expect(ran?.stdout).toMatch(
    /^::error file=tests\/egress\.test\.yaml,line=\d+,title=egresslab test%3A test\.failed::/m,
  )
  expect(ran?.stdout).toMatch(/^::warning file=lab\.yaml,line=19,title=egresslab rules diff%3A rules\.update::/m)
  const comment = read('egresslab-reports/comment.md')
  const heads = [...comment.matchAll(/^## \S+ egresslab (.*)$/gm)].map(([, name]) => name)
  expect(heads).toEqual(['check', 'test', 'replay', 'rules diff'])
  expect(comment).toContain('203.0.113.20')
  expect(readFileSync(join(folder, 'summary.md'), 'utf8')).toBe(comment)
  expect(readFileSync(join(folder, 'output'), 'utf8')).toBe(
    'comment=egresslab-reports/comment.md\nreports=egresslab-reports\n',
  )
  for (const name of ['check', 'test', 'replay', 'diff']) {
    expect(JSON.parse(read(`egresslab-reports/${name}.sarif`))).toMatchObject({ version: '2.1.0' })
    expect(read(`egresslab-reports/${name}.html`)).toContain('</html>')
  }
  expect(String(git('worktree', 'list')).trim().split('\n')).toHaveLength(1)
})

test('a branch that changes nothing passes, also where a change would fail', () => {
  const [ran] = runAction({ base: 'main', 'fail-on-change': 'true' })
  expect({ code: ran?.status, stderr: ran?.stderr }).toEqual({ code: 0, stderr: '' })
  expect(read('egresslab-reports/comment.md')).toContain('nothing would change')
})

test('an invalid configuration fails with its line, and a base that is not there is said', () => {
  write('lab.yaml', read('lab.yaml').replace('colo: LHR', 'colo: LRH'))
  const [ran] = runAction({ base: 'no-such-branch', tests: '' })
  expect(ran?.status).toBe(2)
  expect(ran?.stdout).toMatch(/^::error file=lab\.yaml,line=13,/m)
  expect(ran?.stdout).toContain('no-such-branch has no lab.yaml to compare with')
})
