// `npm run soak -- --fairness`: what one client's requests and the API wait for while a bulk tunnel runs at full speed, thousands of tunnels
// are idle and a client pipelines for ever. Latencies alone, and with all of that.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingMessage, request as sendRequest } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { createRandom } from '../../src/load-test/random.ts'
import type { Load } from './fairness-load.ts'
import { FaultyOrigin } from './faulty-origin.ts'
import { LabChild } from './lab-child.ts'
import { openRoad, type SoakRoad } from './open-road.ts'
import { askThrough, basic, forward, HOST, openConnect } from './roads.ts'
import { TRAVELLERS, type Traveller } from './situation.ts'
import { FAULTS, writeSoakedConfig } from './soaked-config.ts'
import { Trips } from './trips.ts'

export interface FairnessRequest {
  readonly tunnels: number
  readonly engine: 'auto' | 'linux' | 'node'
  readonly seed: number
}

/** Milliseconds. */
export interface Latencies {
  readonly samples: number
  readonly p50: number
  readonly p99: number
  readonly most: number
}

export interface Fairness {
  readonly engine: string
  /** idle, all through */
  readonly tunnels: number
  readonly alone: { readonly request: Latencies; readonly api: Latencies }
  readonly loaded: { readonly request: Latencies; readonly api: Latencies }
  /** of the bulk tunnel meanwhile, MB a second */
  readonly bulk: number
  /** to the client that pipelines, responses a second */
  readonly responses: number
  /** idle tunnels that carried a request afterwards */
  readonly alive: number
}

const SAMPLES = 1000
/** a busy machine gets fewer */
const MOST_MS = 20_000
/** not counted: until the lab is compiled */
const WARM_UP_SAMPLES = 200
const AT_ONCE = 50
const GIVEN_BACK = 100
/** the lab's and this process's own, beside two for each tunnel */
const SPARE_DESCRIPTORS = 600
const MOST_DESCRIPTORS = 20_000
const GAP_MS = 5

/** Rejects where anything but the time is wrong: a request that fails, a tunnel that is cut. */
export async function measureFairness(request: FairnessRequest, tell: (line: string) => void): Promise<Fairness> {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-fairness-'))
  const configFile = join(state, 'soak.yaml')
  const origin = await FaultyOrigin.open()
  writeSoakedConfig(configFile, origin.place)
  const child = await LabChild.start({
    state: join(state, 'state'),
    configFile,
    engine: request.engine,
    descriptors: MOST_DESCRIPTORS,
  })
  try {
    return await new Measurement(request, child, origin, tell).run()
  } finally {
    child.kill()
    origin.close()
    rmSync(state, { recursive: true, force: true })
  }
}

class Measurement {
  readonly #request: FairnessRequest
  readonly #child: LabChild
  readonly #origin: FaultyOrigin
  readonly #tell: (line: string) => void

  constructor(request: FairnessRequest, child: LabChild, origin: FaultyOrigin, tell: (line: string) => void) {
    this.#request = request
    this.#child = child
    this.#origin = origin
    this.#tell = tell
  }

  async run(): Promise<Fairness> {
    await this.#measure(WARM_UP_SAMPLES)
    const alone = await this.#measure(SAMPLES)
    const count = Math.min(this.#request.tunnels, (MOST_DESCRIPTORS - SPARE_DESCRIPTORS) / 2)
    this.#tell(`opening ${count} tunnels`)
    const tunnels = await this.#openTunnels(count)
    this.#tell('measuring beside a bulk tunnel and a client that pipelines')
    const [bob] = TRAVELLERS.slice(1) as [Traveller]
    const load = await startLoad(this.#child.lab.proxyPort, basic(bob))
    await pause(2000)
    const from = { at: performance.now(), ...load.sofar() }
    const loaded = await this.#measure(SAMPLES)
    const to = { at: performance.now(), ...load.sofar() }
    await load.stop()
    const seconds = (to.at - from.at) / 1000
    return {
      engine: this.#child.lab.engine,
      tunnels: tunnels.length,
      alone,
      loaded,
      bulk: (to.bulkBytes - from.bulkBytes) / 1e6 / seconds,
      responses: (to.responses - from.responses) / seconds,
      alive: await countAlive(tunnels),
    }
  }

  /** Plain requests on new connections and requests to the API, by turns. */
  async #measure(samples: number): Promise<Fairness['alone']> {
    const [requests, api]: [number[], number[]] = [[], []]
    const until = performance.now() + MOST_MS
    for (let sample = 0; sample < samples && performance.now() < until; sample++) {
      requests.push(await timed(() => this.#ask()))
      api.push(await timed(() => this.#askApi()))
      await pause(GAP_MS)
    }
    return { request: latenciesOf(requests), api: latenciesOf(api) }
  }

  async #ask(): Promise<void> {
    const road = this.#road()
    const { status } = await forward(road, `http://${FAULTS}/ok/10`)
    road.close()
    if (status !== 200) throw new Error(`a plain request was answered ${status}`)
  }

  async #askApi(): Promise<void> {
    const { apiPort: port, token } = this.#child.lab
    const headers = { authorization: `Bearer ${token}` }
    const request = sendRequest({ host: HOST, port, path: '/lab/v1/health', headers, agent: false }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    await text(response)
    if (response.statusCode !== 200) throw new Error(`the API answered ${response.statusCode}`)
  }

  /** So many, or as many as the lab has room for, some given back for those who are measured. */
  async #openTunnels(count: number): Promise<readonly Socket[]> {
    const tunnels: Socket[] = []
    while (tunnels.length < count) {
      const batch = Array.from({ length: Math.min(AT_ONCE, count - tunnels.length) }, () =>
        openConnect(this.#road(), `${FAULTS}:80`),
      )
      const outcomes = await Promise.allSettled(batch)
      tunnels.push(...outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])))
      const refused = outcomes.find((outcome) => outcome.status === 'rejected')
      if (refused === undefined) continue
      if (!/ 503$/.test(String(refused.reason))) throw refused.reason
      for (const socket of tunnels.splice(-GIVEN_BACK)) socket.destroy()
      break
    }
    this.#tell(`${tunnels.length} tunnels are open`)
    return tunnels
  }

  #road(): SoakRoad {
    const { proxyPort, openPort } = this.#child.lab
    return openRoad({
      kind: { name: 'fairness', sessions: [1, 1], codes: [] },
      who: TRAVELLERS[0] as Traveller,
      ports: { main: proxyPort, open: openPort },
      origin: this.#origin,
      random: createRandom(this.#request.seed),
      trips: new Trips(),
      holdRight: () => undefined,
    })
  }
}

/** How many of them still carry a request. */
async function countAlive(tunnels: readonly Socket[]): Promise<number> {
  let alive = 0
  for (let at = 0; at < tunnels.length; at += AT_ONCE) {
    const bodies = await Promise.all(
      tunnels.slice(at, at + AT_ONCE).map((socket) => askThrough(socket, FAULTS, '/ok/7', true).catch(() => '')),
    )
    alive += bodies.filter(({ length }) => length === 7).length
  }
  return alive
}

async function startLoad(port: number, authorization: string) {
  const file = join(import.meta.dirname, 'fairness-load.ts')
  const child = spawn(process.execPath, [file, HOST, String(port), authorization], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let last: Load = { bulkBytes: 0, responses: 0 }
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    last = JSON.parse(line)
  })
  await once(lines, 'line')
  return {
    sofar: () => last,
    stop: async () => {
      if (child.exitCode !== null) throw new Error('a client of the load was cut off')
      const exited = once(child, 'exit')
      child.stdin.end()
      await exited
    },
  }
}

async function timed(run: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

function latenciesOf(samples: readonly number[]): Latencies {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
  return { samples: sorted.length, p50: at(0.5), p99: at(0.99), most: at(1) }
}

/** Lines for a terminal. */
export function drawFairness({ engine, tunnels, alone, loaded, bulk, responses, alive }: Fairness): string {
  const row = (what: string, { p50, p99, most, samples }: Latencies) =>
    `  ${what.padEnd(34)}${[p50, p99, most].map((ms) => ms.toFixed(1).padStart(9)).join('')}${String(samples).padStart(9)}`
  const lines = [
    `fairness on the engine ${engine}: ${tunnels} idle tunnels, a bulk tunnel (${bulk.toFixed(0)} MB/s), a client that pipelines (${responses.toFixed(0)} responses/s)`,
    `  ${'ms'.padEnd(34)}${['p50', 'p99', 'most', 'samples'].map((name) => name.padStart(9)).join('')}`,
    row('plain request, alone', alone.request),
    row('plain request, beside all of them', loaded.request),
    row('API, alone', alone.api),
    row('API, beside all of them', loaded.api),
    `  targets on a quiet machine: p99 of 20 ms for the request, 50 ms for the API`,
    `  ${alive} of ${tunnels} idle tunnels carried a request afterwards`,
  ]
  return `${lines.join('\n')}\n`
}
