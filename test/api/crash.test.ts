// CF-05 over HTTP: whatever the API said yes to is there after kill -9, and nothing is half there.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Cloudflare from 'cloudflare'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ACCOUNT_ID } from '../store/lab.ts'
import { TOKEN } from './running-api.ts'

const account = { account_id: ACCOUNT_ID }

let folder: string
let child: ChildProcess | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-crash-'))
})
afterEach(async () => {
  if (child?.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  rmSync(folder, { recursive: true, force: true })
})

async function serve(): Promise<Cloudflare> {
  child = spawn(process.execPath, [join(import.meta.dirname, 'crash-server.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
  return new Cloudflare({ apiToken: TOKEN, baseURL: `${String(line).trim()}/client/v4`, maxRetries: 0 })
}

test('CF-05 four writers, kill -9 in the middle, again and again: every acknowledged rule is there', async () => {
  const acknowledged = new Map<string, number>()
  for (let round = 0; round < 4; round++) {
    const client = await serve()
    const { rules } = client.zeroTrust.gateway
    for (const [id, precedence] of acknowledged) expect((await rules.get(id, account)).precedence).toBe(precedence)
    let wanted = 10 + Math.floor(Math.random() * 30)
    const writer = async (name: string) => {
      for (let count = 0; ; count++) {
        const rule = await rules.create({ ...account, name: `${name} ${count}`, action: 'egress', enabled: true })
        acknowledged.set(rule.id ?? '', rule.precedence)
        if (--wanted === 0) child?.kill('SIGKILL')
      }
    }
    const ended = child === undefined ? undefined : once(child, 'exit')
    const writers = await Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => writer(`${round} ${name}`)))
    for (const outcome of writers) expect(outcome).toMatchObject({ reason: expect.any(Cloudflare.APIConnectionError) })
    await ended
  }
  const { rules } = (await serve()).zeroTrust.gateway
  const found = new Set<string>()
  for await (const rule of rules.list(account)) found.add(rule.id ?? '')
  expect([...acknowledged.keys()].filter((id) => !found.has(id))).toEqual([])
  expect(acknowledged.size).toBeGreaterThanOrEqual(40)
})
