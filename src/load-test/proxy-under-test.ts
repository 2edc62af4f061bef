// The proxy that `bench proxy` measures, as a process of its own so that its processor time is its own:
// `node proxy-under-test.ts CONFIG WORKERS`. Prints its port as one line, and stops when its standard input ends.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InputError } from '../errors/issue.ts'
import { reserveLoopbackNetwork } from '../lab/loopback-network.ts'
import { startLab } from '../lab/start-lab.ts'
import { createEventLog } from '../log/event-log.ts'

const [configFile = '', workers = '1'] = process.argv.slice(2)
const state = mkdtempSync(join(tmpdir(), 'egresslab-bench-'))
const events = createEventLog({ form: 'line', write: (text) => process.stderr.write(text) })
try {
  // held until this process ends, so that neither a running lab nor another measurement is in the way
  const standIns = await reserveLoopbackNetwork()
  const lab = await startLab({
    configFile,
    state,
    ephemeral: true,
    workers: Number(workers),
    portsFromZero: true,
    standInNetwork: standIns.network,
    events,
  })
  process.stdout.write(`${JSON.stringify({ port: lab.listeners[0]?.port })}\n`)
  process.stdin.resume()
  process.stdin.once('end', async () => {
    await lab.close()
    rmSync(state, { recursive: true, force: true })
    process.exit(0)
  })
} catch (thrown) {
  rmSync(state, { recursive: true, force: true })
  if (!(thrown instanceof InputError)) throw thrown
  process.stdout.write(`${JSON.stringify({ issues: thrown.issues })}\n`)
  process.exitCode = 2
}
