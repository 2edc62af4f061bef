// The lab that is soaked, as a process of its own so that its memory and descriptors are its own: `node lab-process.ts STATE`.
// Prints where it listens and its API token as one line, and drains and stops when its standard input ends.

import { startLab } from '../../src/lab/start-lab.ts'
import { createEventLog } from '../../src/log/event-log.ts'

/** Stand-ins of its own, so that a running lab is not in the way. */
const STAND_INS = '127.198.0.0/16'

/** What the parent reads. */
export interface SoakedLab {
  readonly proxyPort: number
  readonly apiPort: number
  readonly token: string
  readonly sessionsFile: string
}

const [state = ''] = process.argv.slice(2)
const events = createEventLog({ form: 'line', write: (text) => process.stderr.write(text) })
const lab = await startLab({
  configFile: 'config/lab.yaml',
  state,
  ephemeral: false,
  portsFromZero: true,
  standInNetwork: STAND_INS,
  events,
})
const addresses: SoakedLab = {
  proxyPort: lab.listeners[0]?.port ?? 0,
  apiPort: lab.api.port,
  token: lab.apiToken.made ?? '',
  sessionsFile: lab.sessionsFile ?? '',
}
process.stdout.write(`${JSON.stringify(addresses)}\n`)
process.stdin.resume()
process.stdin.once('end', async () => {
  await lab.close()
  process.exit(0)
})
