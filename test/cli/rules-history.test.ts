// `rules history`, `show`, `restore`, against a running lab.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
