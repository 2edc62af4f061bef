// `rules list`, `history`, `show`, `restore`, against a running lab.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { type Ran, run } from './run.ts'

let running: PrivateLab
let where: readonly string[]
beforeAll(async () => {
  running = await startPrivateLab({ ephemeral: false })
  where = ['--api', `127.0.0.1:${running.lab.api.port}`, '--state', running.folder]
})
afterAll(() => running.close())

const rules = (action: string, ...rest: readonly string[]): Promise<Ran> => run(['rules', action, ...where, ...rest])

test('a rule deleted by mistake is seen in the history, and is back after one command', async () => {
  const before = running.lab.store.current()
  const [lost] = [...before.state.rule.values()]
  if (lost === undefined) throw new RangeError('the shipped lab has rules')
  running.lab.store.change((draft) => draft.remove('rule', lost.value.id))
  const history = (await rules('history')).stdout.split('\n')
  expect(history[0]).toMatch(/^REVISION +SINCE +RULES +LISTS +WHAT CHANGED$/)
  expect(history[1]).toContain('(in force)')
  expect(history[1]).toContain(`removed \`${lost.value.name}\``)
  const [, old] = JSON.parse((await rules('history', '--json')).stdout)
  const restored = await rules('restore', String(old.revision))
  expect([restored.code, restored.stdout]).toEqual([
    0,
    `rules and lists are as in revision ${old.revision} (now revision ${before.revision + 2})\n`,
  ])
  expect(running.lab.store.current().state.rule.get(lost.value.id)?.value).toEqual(lost.value)
  const again = await rules('restore', String(old.revision))
  expect(again.stdout).toBe(`rules and lists are as in revision ${old.revision} already\n`)
})

test('a rule that was used before a restart is not said to be unused', async () => {
  const user = 'alice@example.com:lab-alice'
  const beside = { ephemeral: false, standInNetwork: ownNetwork(1) }
  const first = await startPrivateLab(beside)
  await curl('-x', first.proxy, '-U', user, 'http://bank.saas.test/')
  await first.lab.close()
  const again = await startPrivateLab({ ...beside, state: first.folder })
  const list = (...rest: string[]) =>
    run(['rules', 'list', '--api', `127.0.0.1:${again.lab.api.port}`, '--state', first.folder, ...rest])
  const { stdout } = await list()
  await curl('-x', again.proxy, '-U', user, 'http://bank.saas.test/')
  const rows = JSON.parse((await list('--json')).stdout)
  const unused = (await list('--unused')).stdout
  await again.close()
  await first.close()
  expect(stdout).toMatch(/^PRECEDENCE +RULE +SESSIONS +LAST USED\n1000 +Finance to the bank +1 +20\S+Z\n/)
  expect(rows[0]).toMatchObject({ name: 'Finance to the bank', sessions: 2 })
  expect(unused).not.toContain('Finance to the bank')
  expect(unused).toMatch(/^\d+ .* 0 +not since 20\S+Z$/m)
})

test('what `show` prints is a file that `rules diff` reads, and finds no difference from', async () => {
  const [current] = JSON.parse((await rules('history', '--json')).stdout)
  const shown = await rules('show', String(current.revision))
  const file = join(running.folder, 'shown.json')
  writeFileSync(file, shown.stdout)
  const { code, stdout, stderr } = await rules('diff', file, '--fail-on-change')
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).not.toBe('')
})

test.each(['0', 'x', '999999'])('revision %s is refused with exit code 2', async (revision) => {
  const { code, stdout, stderr } = await rules('restore', revision)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(
    /expected a whole number|revision 999999 of the policy is not kept; `egresslab rules history` lists/,
  )
})
