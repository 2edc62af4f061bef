// What a running lab says of harm to its files: log and health name it, readiness tries what it vouches for, exit codes are
// those of bad input, and nothing good is written over. The lab is a process of its own, the harm is real.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'

let folder: string
let config: string
let state: string
let child: ChildProcess | undefined
let stderr: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-harm-'))
  config = join(folder, 'lab.yaml')
  state = join(folder, 'state')
  writeFileSync(config, CONFIG)
})
afterEach(async () => {
  await end('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const CONFIG = `
dedicated_ips: []
listeners: [{ name: main, port: 0 }]
api: { port: 0 }
stand_ins: { network: ${ownNetwork()} }
`

function run(command: string, ...args: readonly string[]): ChildProcess {
  const started = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  child = started
  stderr = ''
  started.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return started
}

const startArguments = () => ['src/main.ts', 'start', '-c', config, '--state', state]

/** Resolves once the lab has said where it listens. */
async function start(command = process.execPath, before: readonly string[] = []): Promise<void> {
  const started = run(command, ...before, ...startArguments())
  await expect.poll(() => started.exitCode !== null || stderr.includes('  console ')).toBe(true)
  expect(stderr).toContain('  console ')
}

async function end(signal: NodeJS.Signals): Promise<void> {
  const ending = child
  child = undefined
  if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return
  const exited = once(ending, 'exit')
  ending.kill(signal)
  await exited
}

/** A start that is expected to fail, to its end. */
async function failedStart(): Promise<{ readonly code: number; readonly stderr: string }> {
  const [code] = await once(run(process.execPath, ...startArguments()), 'close', {
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  return { code, stderr }
}

async function ask(path: string, init: RequestInit = {}) {
  const port = /API +http:\/\/127\.0\.0\.1:(\d+)/.exec(stderr)?.[1]
  const token = /token +(\S{43}) +shown/.exec(stderr)?.[1] ?? readFileSync(join(state, 'api-token'), 'utf8').trim()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const answer = await fetch(`http://127.0.0.1:${port}/lab/v1${path}`, { headers, ...init })
  const body = (await answer.json()) as {
    readonly result: { readonly healthy: boolean; readonly troubles: readonly string[] }
    readonly errors: readonly { readonly message: string }[]
  }
  return { status: answer.status, ...body, messages: body.errors.map(({ message }) => message) }
}

const troubles = async () => (await ask('/health')).result.troubles
const setDown = (colo: string) => ask(`/colos/${colo}`, { method: 'PUT', body: '{"up":false}' })

/** A state with a change in it and a good copy of it; answers how to look for the change. */
async function stateWithChange(): Promise<() => Promise<boolean>> {
  await start()
  expect((await setDown('LHR')).status).toBe(200)
  await end('SIGTERM')
  return async () => {
    const { result } = (await ask('/account')) as unknown as { result: { colos_down: readonly string[] } }
    return result.colos_down.includes('LHR')
  }
}

const file = (name: string) => join(state, name)

describe('CF-05 a state that is found', () => {
  test.each([
    ['empty', 'was empty and is now', () => truncateSync(file('lab.db'))],
    ['missing', 'was missing', () => rmSync(file('lab.db'))],
    ['damaged', 'was damaged and is now', () => writeFileSync(file('lab.db'), Buffer.alloc(16_384, 'no database '))],
    ['without its tables', 'was damaged and is now', () => damage('DROP TABLE documents')],
    ['with a document that is no JSON', 'was damaged and is now', () => damage("UPDATE documents SET body = '{'")],
  ])('%s goes on from its copy, and log and health say so', async (_, words, harm) => {
    const isThere = await stateWithChange()
    harm()
    await start()
    expect(await isThere()).toBe(true)
    const said = `\`${file('lab.db')}\` ${words}`
    expect(stderr).toContain(`error: ${said}`)
    expect(await troubles()).toEqual([expect.stringContaining(said)])
    await end('SIGKILL')
    await start()
    expect([await isThere(), await troubles()]).toEqual([true, []])
  })

  test('damaged together with its copy is refused with exit code 2, and left as it is', async () => {
    await stateWithChange()
    for (const name of ['lab.db', 'lab.previous.db']) writeFileSync(file(name), `garbage of ${name}`)
    const before = readdirSync(state).sort()
    const { code, stderr: said } = await failedStart()
    expect(code).toBe(2)
    expect(said).toContain(
      `error: \`${file('lab.db')}\` is damaged and its copy \`${file('lab.previous.db')}\` is damaged; both are left unchanged`,
    )
    expect(said).not.toMatch(/^ +at /m)
    expect(readdirSync(state).sort()).toEqual(before)
    for (const name of ['lab.db', 'lab.previous.db'])
      expect(readFileSync(file(name), 'utf8')).toBe(`garbage of ${name}`)
  })

  test('readable by others is its owner’s alone from then on', async () => {
    await stateWithChange()
    for (const name of readdirSync(state)) spawnSync('chmod', ['a+rw', file(name)])
    writeFileSync(file('sessions.ndjson'), '{}\n', { mode: 0o666 })
    await start()
    await fetch(`http://${/proxy +(\S+)/.exec(stderr)?.[1]}/`)
    await expect.poll(() => statSync(file('sessions.ndjson')).size).toBeGreaterThan(3)
    const modes = Object.fromEntries(
      readdirSync(state).map((name) => [name, (statSync(file(name)).mode & 0o777).toString(8)]),
    )
    expect(modes).toMatchObject({
      'lab.db': '600',
      'lab.db-wal': '600',
      'lab.previous.db': '600',
      'sessions.ndjson': '600',
      'api-token': '600',
      lock: '600',
      owner: '600',
    })
    expect(new Set(Object.values(modes))).toEqual(new Set(['600']))
    expect((statSync(state).mode & 0o777).toString(8)).toBe('700')
  })

  function damage(sql: string): void {
    const { status, stderr: said } = spawnSync(process.execPath, [
      '-e',
      `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(file('lab.db'))}).exec(${JSON.stringify(sql)})`,
    ])
    expect(`${status} ${said}`).toMatch(/^0 /)
  }
})

describe('CF-01 CF-07 a configuration that is', () => {
  const beside = () => join(folder, 'beside')
  test.each([
    ['removed', 'there is no such file', () => {}],
    ['a link to /dev/zero', 'it is not a regular file', () => symlinkSync('/dev/zero', config)],
    ['a FIFO', 'it is not a regular file', () => void spawnSync('mkfifo', [config])],
    ['a directory', 'it is a directory', () => void spawnSync('mkdir', [config])],
    ['a socket’s place', 'it is not a regular file', () => symlinkSync('/dev/tty', config)],
  ])('%s while the lab runs: health says so, and no longer once it is back', async (_, reason, harm) => {
    await start()
    expect(await troubles()).toEqual([])
    renameSync(config, beside())
    harm()
    await expect
      .poll(troubles)
      .toEqual([`the configuration file is not in force: cannot read \`${config}\`: ${reason}`])
    expect((await ask('/health/ready')).status).toBe(200)
    rmSync(config, { recursive: true, force: true })
    renameSync(beside(), config)
    await expect.poll(troubles).toEqual([])
  })

  test.each([
    ['/dev/zero', () => symlinkSync('/dev/zero', config)],
    ['a FIFO', () => void spawnSync('mkfifo', [config])],
  ])('%s at the start is refused with exit code 2', async (_, make) => {
    rmSync(config)
    make()
    const { code, stderr: said } = await failedStart()
    expect([code, said]).toEqual([2, expect.stringContaining(`cannot read \`${config}\`: it is not a regular file`)])
  })
})

describe('ready means', () => {
  test('that the state is the one on disk: not where it was removed meanwhile', async () => {
    await start()
    expect((await ask('/health/ready')).status).toBe(200)
    rmSync(file('lab.db'))
    await expect
      .poll(async () => (await ask('/health/ready')).messages)
      .toEqual([`cannot write the state: \`${file('lab.db')}\` was removed or replaced while it was in use`])
    expect(await troubles()).toEqual([expect.stringContaining('was removed or replaced')])
  })

  test.skipIf(spawnSync('prlimit', ['--version']).status !== 0)(
    'that files can grow: not at the limit of `ulimit -f`, and again beyond it; the lab goes on',
    async () => {
      await start()
      const limit = (bytes: string) => spawnSync('prlimit', ['--pid', String(child?.pid), `--fsize=${bytes}`]).status
      expect(limit('1:unlimited')).toBe(0)
      await expect.poll(async () => (await ask('/health/ready')).status).toBe(503)
      expect((await ask('/health/ready')).messages).toEqual([
        expect.stringContaining('cannot write the state: '),
        expect.stringContaining('cannot write the session log: EFBIG'),
      ])
      expect((await setDown('AMS')).status).toBe(507)
      expect(limit('unlimited:unlimited')).toBe(0)
      await expect.poll(async () => (await ask('/health/ready')).status).toBe(200)
      expect((await setDown('AMS')).status).toBe(200)
    },
  )

  const canMount =
    spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /mnt'], { stdio: 'ignore' }).status === 0
  if (!canMount) process.stderr.write('SKIPPED: no mounts of our own here (not root), so full disks are not tried\n')

  test.skipIf(!canMount)('that there is room on the disk', async () => {
    const mounted = `mkdir -p "${state}" && mount -t tmpfs -o size=4m,mode=700 none "${state}" && exec "$@"`
    await start('unshare', ['-m', 'sh', '-c', mounted, 'sh', process.execPath])
    // the lab's own view of its folder: the mount is not here
    const inside = join(`/proc/${child?.pid}/root`, state)
    expect(existsSync(join(inside, 'lab.db'))).toBe(true)
    expect((await ask('/health/ready')).status).toBe(200)
    fill(join(inside, 'fill'))
    await expect.poll(async () => (await ask('/health/ready')).status).toBe(503)
    const { messages } = await ask('/health/ready')
    expect(messages).toContainEqual(expect.stringMatching(/^cannot write the session log: ENOSPC/))
    expect(await troubles()).toEqual(expect.arrayContaining([...messages]))
    const { result: account } = (await ask('/account')) as unknown as { result: { id: string } }
    const statuses: number[] = []
    while (statuses.length < 100 && statuses.at(-1) !== 507) statuses.push(await addList(account.id, statuses.length))
    expect(new Set(statuses.slice(0, -1))).not.toContain(507)
    expect(statuses.at(-1)).toBe(507)
    await expect
      .poll(async () => (await ask('/health/ready')).messages)
      .toContainEqual(expect.stringMatching(/^cannot write the state: /))
    rmSync(join(inside, 'fill'))
    await expect.poll(async () => (await ask('/health/ready')).status).toBe(200)
    expect(await addList(account.id, statuses.length)).toBe(200)
  })

  async function addList(account: string, number: number): Promise<number> {
    const items = Array.from({ length: 900 }, (_, at) => ({ value: `serial-${number}-${at}` }))
    const body = JSON.stringify({ name: `list ${number}`, type: 'SERIAL', items })
    const port = /API +http:\/\/127\.0\.0\.1:(\d+)/.exec(stderr)?.[1]
    const token = /token +(\S{43}) +shown/.exec(stderr)?.[1]
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const url = `http://127.0.0.1:${port}/client/v4/accounts/${account}/gateway/lists`
    return (await fetch(url, { method: 'POST', headers, body })).status
  }

  /** Writes until there is no room at all. */
  function fill(path: string): void {
    for (const size of [1024 * 1024, 64 * 1024, 4096, 512]) {
      try {
        for (;;) appendFileSync(path, Buffer.alloc(size, 1))
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'ENOSPC' })
      }
    }
  }
})
