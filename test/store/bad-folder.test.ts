// A state folder that cannot take what a start writes, however little or much of it fits: the start says so plainly, exits 2, leaves
// nothing that a later start trips over. Needs root for mounts of its own; elsewhere these are skipped, and said so.

import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PATIENCE_MS } from '../support/patience.ts'

const canMount = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /mnt'], { stdio: 'ignore' }).status === 0
if (!canMount)
  process.stderr.write('SKIPPED: no mounts of our own here (not root), so full and read-only disks are not tried\n')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-folder-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs shell lines in a mount namespace that ends with them; `$D` is the folder. */
function inNamespace(script: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, D: folder, NODE: process.execPath }
    execFile('unshare', ['-m', 'sh', '-c', script], { env, timeout: PATIENCE_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

const START_ON = '"$NODE" test/store/start-on.ts "$D/state"'
const outcomes = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe.skipIf(!canMount)('a state folder', () => {
  test.each([4, 20, 32, 48, 64, 80, 96, 128])(
    'with %d KiB of room: starts, or says that the disk is full; with room again it starts whole',
    async (kib) => {
      const { code, stdout, stderr } = await inNamespace(
        `mount -t tmpfs -o size=${kib}k none "$D" && ${START_ON} && mount -o remount,size=4m "$D" && ${START_ON} && ls "$D/state"`,
      )
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      const lines = stdout.trim().split('\n')
      const [first, second] = outcomes(lines.slice(0, 2).join('\n'))
      if (!first.started) {
        expect(first.issues).toHaveLength(1)
        expect(first.issues[0].message).toMatch(/full|ENOSPC|no space/i)
      }
      expect(second).toEqual({ started: true, rules: expect.any(Number), token: 43 })
      expect(second.rules).toBeGreaterThan(0)
      expect(lines.filter((name) => /\.new$|damaged/.test(name))).toEqual([])
    },
  )

  test('that is read-only, with and without a state in it: refused by name and reason, and left as it was', async () => {
    const { code, stdout, stderr } = await inNamespace(
      [
        'mount -t tmpfs none "$D"',
        START_ON,
        'sum() { (cd "$D" && find . -type f | sort | xargs cksum); }',
        'before=$(sum)',
        'mount -o remount,ro "$D"',
        START_ON,
        '"$NODE" test/store/start-on.ts "$D/other"',
        'test "$before" = "$(sum)"',
      ].join(' && '),
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [good, there, fresh] = outcomes(stdout)
    expect(good.started).toBe(true)
    for (const { started, issues } of [there, fresh]) {
      expect(started).toBe(false)
      expect(issues).toEqual([
        expect.objectContaining({
          code: 'state.unusable',
          message: expect.stringMatching(/`.*\/(state|other)` cannot be used: EROFS/),
          hint: 'make it writable, or start with `--state DIR` or `--ephemeral`',
        }),
      ])
    }
  })

  test('on a full disk: `egresslab start` exits 2 with one clear error, and nothing listens', async () => {
    const config = 'dedicated_ips: []\nlisteners: [{ name: main, port: 0 }]\napi: { port: 0 }\n'
    const file = join(tmpdir(), `egresslab-full-${process.pid}.yaml`)
    writeFileSync(file, config)
    const { code, stdout, stderr } = await inNamespace(
      `mount -t tmpfs -o size=8k none "$D" && "$NODE" src/main.ts start -c ${file} --state "$D/state"`,
    )
    rmSync(file)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^error: the state directory `.*\/state` cannot be used: .*full/)
    expect(stderr).toContain('hint: make room, or start with `--state DIR` or `--ephemeral`')
    expect(stderr).not.toContain('proxy ')
  })
})

test.skipIf(process.platform !== 'linux')(
  'a folder that `/proc` does not create is refused, not tried for ever',
  () => {
    const run = { encoding: 'utf8', timeout: PATIENCE_MS } as const
    const { stdout } = spawnSync(process.execPath, ['test/store/start-on.ts', '/proc/egresslab/state'], run)
    const [{ started, issues }] = outcomes(stdout)
    expect({ started, code: issues[0].code }).toEqual({ started: false, code: 'state.unusable' })
    expect(issues[0].message).toContain('`/proc/egresslab/state` cannot be used: ENOENT')
  },
)

test('a file where the folder should be is refused by name', () => {
  const file = join(folder, 'file')
  writeFileSync(file, 'mine')
  const { status, stdout } = spawnSync(process.execPath, ['test/store/start-on.ts', file], { encoding: 'utf8' })
  expect(status).toBe(0)
  const [{ started, issues }] = outcomes(stdout)
  expect({ started, code: issues[0].code }).toEqual({ started: false, code: 'state.unusable' })
  expect(issues[0].message).toContain(`\`${file}\``)
})
