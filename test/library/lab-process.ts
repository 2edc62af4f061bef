// A lab in a process of its own, for the test of labs side by side: starts it, asks as every user, prints what came back, and waits
// for the end of standard input.

import { once } from 'node:events'
import { startLab } from '../../src/library/index.ts'
import { PATIENCE_MS } from '../support/patience.ts'

await using lab = await startLab()
const port = new URL(lab.proxyUrl()).port
process.stdout.write(`${JSON.stringify({ port })}\n`)
process.stdin.resume()
await once(process.stdin, 'end')
const erp = await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.10'] })
const seen: string[] = []
for (const user of ['alice@example.com', 'bob@example.com', 'carol@example.com', 'dave@example.com']) {
  await lab.fetch('https://erp.test/', { user })
  seen.push((await lab.sessions.waitFor({ user }, { timeoutMs: PATIENCE_MS })).EgressIP)
}
const requests = erp.requests.map(({ user, egressIp }) => `${user} ${egressIp}`)
process.stdout.write(`${JSON.stringify({ seen, requests, sessions: lab.sessions.list().length })}\n`)
