// Labs side by side: eight processes and several labs in one process at the same time, none of which sees anything of another.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { startLab } from '../../src/library/index.ts'

const PROGRAM = new URL('./lab-process.ts', import.meta.url).pathname
const PROCESSES = 8
const EGRESS = ['203.0.113.20', '203.0.113.10', '203.0.113.40', '203.0.113.10']

async function start() {
  const child = spawn(process.execPath, [PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse(String((await lines.next()).value))
  return { port: String((await next()).port), child, next }
}

test('eight labs in eight processes, all running at once, each see their own sessions and requests only', async () => {
  const labs = await Promise.all(Array.from({ length: PROCESSES }, start))
  expect(new Set(labs.map(({ port }) => port)).size).toBe(PROCESSES)
  for (const { child } of labs) child.stdin.end()
  for (const report of await Promise.all(labs.map(({ next }) => next()))) {
    expect(report).toEqual({
      seen: [EGRESS[0], EGRESS[1], EGRESS[2], expect.stringMatching(/^203\.0\.113\./)],
      requests: expect.arrayContaining([`alice@example.com ${report.seen[0]}`, `bob@example.com ${EGRESS[1]}`]),
      sessions: 4,
    })
    expect(report.requests).toHaveLength(4)
  }
})

test('several labs in one process do not meet, and one goes on when another closes', async () => {
  const [one, two, three] = await Promise.all([startLab(), startLab(), startLab()])
  const user = 'bob@example.com'
  await two.rules.replace([{ name: 'all from Newark', egress: { ipv4: '203.0.113.50' } }])
  const answers = await Promise.all([one, two, three].map((lab) => lab.fetch('http://ipv4.icanhazip.com/', { user })))
  expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual([
    '203.0.113.10\n',
    '203.0.113.50\n',
    '203.0.113.10\n',
  ])
  await two.close()
  expect((await one.fetch('https://bank.saas.test/', { user })).status).toBe(403)
  for (const lab of [one, three]) await lab.close()
})
