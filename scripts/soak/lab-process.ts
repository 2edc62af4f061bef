// The lab that is soaked, as a process of its own so that its memory and descriptors are its own:
// `node --expose-gc lab-process.ts STATE CONFIG ENGINE`. Prints where it listens and its API token as one line. A line `gc` on standard
// input collects garbage and is answered by a line of its memory; the lab drains and stops when its standard input ends.

import { createInterface } from 'node:readline'
import { reserveLoopbackNetwork } from '../../src/lab/loopback-network.ts'
import { startLab } from '../../src/lab/start-lab.ts'
import { createEventLog } from '../../src/log/event-log.ts'
import { readEngineChoice } from './soaked-config.ts'

/** What the parent reads. */
export interface SoakedLab {
  /** every protocol, with passwords */
  readonly proxyPort: number
  /** without passwords, for SOCKS4a */
  readonly openPort: number
  readonly apiPort: number
  readonly token: string
  readonly sessionsFile: string
  readonly engine: string
}

/** Bytes, after two full garbage collections. */
export interface LabMemory {
  readonly residentBytes: number
  readonly heapBytes: number
  /** outside the JavaScript heap: buffers and what native objects hold */
  readonly externalBytes: number
}

const [state = '', configFile = '', engine = 'auto'] = process.argv.slice(2)
/** stand-ins of its own, so that a running lab is not in the way */
const { network } = await reserveLoopbackNetwork()
const events = createEventLog({ form: 'line', write: (text) => process.stderr.write(text) })
const lab = await startLab({
  configFile,
  state,
  ephemeral: false,
  portsFromZero: true,
  standInNetwork: network,
  engine: readEngineChoice(engine),
  events,
})
const said: SoakedLab = {
  proxyPort: lab.listeners[0]?.port ?? 0,
  openPort: lab.listeners[1]?.port ?? 0,
  apiPort: lab.api.port,
  token: lab.apiToken.made ?? '',
  sessionsFile: lab.sessionsFile ?? '',
  engine: lab.engine,
}
process.stdout.write(`${JSON.stringify(said)}\n`)
const orders = createInterface({ input: process.stdin })
orders.on('line', () => process.stdout.write(`${JSON.stringify(collected())}\n`))
orders.once('close', async () => {
  await lab.close()
  process.exit(0)
})

function collected(): LabMemory {
  globalThis.gc?.()
  globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { residentBytes: rss, heapBytes: heapUsed, externalBytes: external }
}
