// The lab that is soaked, as a process of its own so that its memory and descriptors are its own:
// `node --expose-gc lab-process.ts STATE CONFIG ENGINE`. Prints where it listens and its API token as one line. A line `gc` on standard
// input collects garbage and is answered by a line of its memory; the lab drains and stops when its standard input ends, and prints what
// is left of it as its last line. Nobody ends the process: it has to end by itself.

import { watch } from 'node:fs'
import { createInterface } from 'node:readline'
import { reserveLoopbackNetwork } from '../../src/lab/loopback-network.ts'
import { startLab } from '../../src/lab/start-lab.ts'
import { createEventLog } from '../../src/log/event-log.ts'
import { chooseEngine } from '../../src/transport/choose-engine.ts'
import { readEngineChoice } from './soaked-config.ts'
import { descriptorsOf, moreOf } from './vitals.ts'

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

/** What a lab that was closed has left in its process. */
export interface LabRemains {
  /** descriptors that were not there before it started; empty: none */
  readonly descriptors: string
  readonly memory: LabMemory
}

const [state = '', configFile = '', engine = 'auto'] = process.argv.slice(2)
/** stand-ins of its own, so that a running lab is not in the way */
const { network } = await reserveLoopbackNetwork()
// libuv keeps the descriptor of its first watcher for good
watch('.').close()
const before = descriptorsOf(process.pid)
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
  // it is the thread's, for every lab in it
  await chooseEngine(readEngineChoice(engine), () => undefined).close()
  const memory = collected()
  const remains: LabRemains = { descriptors: moreOf(before, descriptorsOf(process.pid), process.pid), memory }
  process.stdout.write(`${JSON.stringify(remains)}\n`)
})

function collected(): LabMemory {
  globalThis.gc?.()
  globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { residentBytes: rss, heapBytes: heapUsed, externalBytes: external }
}
