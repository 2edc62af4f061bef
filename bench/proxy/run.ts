// `npm run bench -- proxy [--quick]`: our proxy beside Squid, Traffic Server, Dante, microsocks, sing-box, mihomo, Tinyproxy and http-proxy, in turns, on
// loopback. Saturated, processor time per operation is what counts; tails are compared at equal load, at rates that all can serve.

import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LoadMode } from '../../src/load-test/proxy/run-load.ts'
import { keepResults, table } from '../report.ts'
import { compareLatency, renderLatency } from './added-latency.ts'
import { type Contestant, startContestant, subjectOf } from './contestant.ts'
import { compareIdle, renderIdle } from './idle-memory.ts'
import { hasRates, type LoadRequest, load, type Origin, startOrigin } from './load.ts'
import { measureRound, type Round, type Spread, spreadOf } from './measure.ts'
import { OURS, OURS_BY_DOOR, OURS_ON_NODE, OURS_ON_TWO } from './ours.ts'
import { isInstalled, RIVALS, type RivalProxy } from './rivals.ts'

export interface BenchOptions {
  readonly tag: string
  /** fewer and shorter rounds, fewer rows: within two minutes */
  readonly quick: boolean
  /** these proxies only, by a part of their names */
  readonly only: readonly string[]
  readonly modes: readonly LoadMode[]
}

interface Pace {
  readonly rounds: number
  /** how each round begins, not counted: every program idles while others have their turn */
  readonly runUpSeconds: number
  readonly seconds: number
  /** shares of the slowest one's peak at which tails are compared */
  readonly shares: readonly number[]
}

const FULL: Pace = { rounds: 7, runUpSeconds: 1.5, seconds: 3, shares: [0.3, 0.6, 0.9] }
const QUICK: Pace = { rounds: 3, runUpSeconds: 0.3, seconds: 0.7, shares: [0.6] }
/** programs that are compiled while they run take some seconds to be what they are for hours */
const WARM_UPS = 1
const FIRST_PORT = 18_400
const IN_QUICK = ['egresslab', 'Squid', 'microsocks, password', 'Dante', 'sing-box']
/** who is compared at fixed rates: those that all others are measured by */
const AT_RATES = ['egresslab', 'Squid', 'Traffic Server', 'microsocks, password', 'sing-box', 'mihomo']

/** One row of the report: what is done, and how many at once. */
interface Discipline {
  readonly mode: LoadMode
  readonly concurrency: number
  readonly title: string
}

const DISCIPLINES: readonly Discipline[] = [
  { mode: 'connect', concurrency: 50, title: 'CONNECT tunnel opened, one small exchange, closed; 50 at a time' },
  { mode: 'socks5', concurrency: 50, title: 'SOCKS5 tunnel likewise' },
  { mode: 'http', concurrency: 50, title: 'Absolute-form GET on kept connections; 50 connections' },
  { mode: 'relay', concurrency: 4, title: 'Relay over 4 tunnels' },
  { mode: 'udp', concurrency: 1, title: 'Datagram there and back through a SOCKS5 association, 1 in flight' },
  { mode: 'udp', concurrency: 8, title: 'Datagrams, 8 in flight' },
  { mode: 'udp', concurrency: 64, title: 'Datagrams, 64 in flight' },
]

/** One row of datagrams is enough there. */
function isInQuick({ mode, concurrency }: Discipline): boolean {
  return mode !== 'udp' || concurrency === 8
}

/** Each proxy leaves from an address of its own, or one would find its ports in the other's TIME_WAIT. */
function sourceOf(contestant: number): string {
  return `127.0.10.${10 + contestant}`
}

export async function benchProxyAll(options: BenchOptions): Promise<void> {
  const pace = options.quick ? QUICK : FULL
  const folder = await mkdtemp(join(tmpdir(), 'egresslab-bench-'))
  // daemons that drop root must reach their folders below it
  await chmod(folder, 0o755)
  const origin = await startOrigin()
  const running: Contestant[] = []
  try {
    for (const [at, rival] of entrants(options).entries()) {
      const port = FIRST_PORT + 10 * at
      running.push(await startContestant(rival, { port, source: sourceOf(at), folder: join(folder, String(at)) }))
    }
    await keepResults(options.tag, 'proxy', await measureAll(running, origin, pace, options))
  } finally {
    for (const { proxy } of running) await proxy.stop()
    await origin.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

function entrants({ quick, only, modes }: BenchOptions): RivalProxy[] {
  const all = [OURS, OURS_ON_NODE, OURS_ON_TWO, OURS_BY_DOOR, ...RIVALS].filter((rival) => {
    const chosen = only.length > 0 ? only.some((part) => rival.name.includes(part)) : !quick || isIn(IN_QUICK, rival)
    return chosen && rival.modes.some((mode) => modes.includes(mode))
  })
  return all.filter((rival) => {
    if (isInstalled(rival)) return true
    const source =
      rival.debianPackage === undefined ? `go install ${rival.goPackage}@latest` : `apt install ${rival.debianPackage}`
    process.stderr.write(`${rival.name} is not installed and left out (${source})\n`)
    return false
  })
}

function isIn(names: readonly string[], { name }: RivalProxy): boolean {
  return names.includes(name)
}

async function measureAll(running: readonly Contestant[], origin: Origin, pace: Pace, options: BenchOptions) {
  const figures: Record<string, unknown> = {}
  const wanted = DISCIPLINES.filter(({ mode }) => options.modes.includes(mode))
  for (const discipline of options.quick ? wanted.filter(isInQuick) : wanted) {
    const { title } = discipline
    const saturated = await compare(discipline, running, origin.port, pace)
    figures[title] = saturated
    process.stdout.write(`\n${title}:\n\n${render(discipline.mode, saturated)}`)
    if (!hasRates || discipline.mode === 'relay' || discipline.mode === 'udp') continue
    for (const share of pace.shares) {
      const { rate, rows } = await compareAtRate(discipline, running, {
        originPort: origin.port,
        pace,
        saturated,
        share,
      })
      figures[`${title} at ${share}`] = { rate, rows }
      process.stdout.write(
        `\nThe same at ${rate} a second (${share * 100} % of the slowest one's peak):\n\n${renderRates(rows)}`,
      )
    }
  }
  if (options.quick || options.only.length > 0) return figures
  // what is said of one of ours here holds for all
  const others = running.filter(({ rival }) => rival !== OURS_ON_TWO && rival !== OURS_BY_DOOR)
  const latency = await compareLatency(others, origin.port)
  figures.latency = latency
  process.stdout.write(
    `\nOne plain request at a time, and what that adds to asking the origin straight:\n\n${renderLatency(latency)}`,
  )
  const idle = await compareIdle(others, origin.port)
  figures.idle = idle
  process.stdout.write(`\nIdle CONNECT tunnels:\n\n${renderIdle(idle)}`)
  return figures
}

interface Figure {
  readonly name: string
  /** a proxy that failed has none of these */
  readonly cost?: Spread
  readonly rate?: Spread
  readonly p50?: Spread
  readonly p99?: Spread
  readonly failure?: string
}

type Turn = (contestant: Contestant) => LoadRequest

/** Every contestant in turns; one that fails once is out. */
async function inTurns(
  label: string,
  contestants: readonly Contestant[],
  originPort: number,
  { rounds, runUpSeconds }: Pace,
  request: Turn,
): Promise<Figure[]> {
  const done = new Map<string, Round[]>()
  const failures = new Map<string, string>()
  for (let round = -WARM_UPS; round < rounds; round++) {
    for (const contestant of contestants) {
      const { name } = contestant.rival
      if (failures.has(name)) continue
      process.stderr.write(`${label}, ${round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`}: ${name}\n`)
      try {
        const subject = subjectOf(contestant, originPort)
        await load(subject, { ...request(contestant), seconds: runUpSeconds })
        const result = await measureRound(contestant.proxy, subject, request(contestant))
        if (round >= 0) done.set(name, [...(done.get(name) ?? []), result])
      } catch (error) {
        failures.set(name, error instanceof Error ? error.message : String(error))
      }
    }
  }
  return contestants.map(({ rival: { name } }) => {
    const failure = failures.get(name)
    if (failure !== undefined) return { name, failure }
    const all = done.get(name) ?? []
    const of = (read: (round: Round) => number) => spreadOf(all.map(read))
    return {
      name,
      cost: of(({ cost }) => cost),
      rate: of(({ load: { operations, bytes, seconds } }) => (bytes > 0 ? bytes / 1e6 : operations) / seconds),
      p50: of(({ load: { latency } }) => latency.p50 / 1e6),
      p99: of(({ load: { latency } }) => latency.p99 / 1e6),
    }
  })
}

function compare(
  { mode, concurrency }: Discipline,
  running: readonly Contestant[],
  originPort: number,
  pace: Pace,
): Promise<Figure[]> {
  const contestants = running.filter(({ rival }) => rival.modes.includes(mode))
  return inTurns(mode, contestants, originPort, pace, () => ({ mode, concurrency, seconds: pace.seconds }))
}

async function compareAtRate(
  { mode, concurrency }: Discipline,
  running: readonly Contestant[],
  needs: { originPort: number; pace: Pace; saturated: readonly Figure[]; share: number },
): Promise<{ rate: number; rows: Figure[] }> {
  const { originPort, pace, saturated, share } = needs
  const served = saturated.filter(({ name, rate }) => AT_RATES.includes(name) && rate !== undefined)
  const slowest = Math.min(...served.map(({ rate }) => rate?.median ?? Number.POSITIVE_INFINITY))
  const rate = Math.floor(slowest * share)
  const contestants = running.filter(({ rival }) => served.some(({ name }) => name === rival.name))
  // what is late takes connections beyond those of a saturated run
  const request = { mode, concurrency: concurrency * 4, seconds: pace.seconds, rate }
  return { rate, rows: await inTurns(`${mode} at ${rate}/s`, contestants, originPort, pace, () => request) }
}

function render(mode: LoadMode, figures: readonly Figure[]): string {
  const ours = figures[0]?.cost?.median ?? Number.NaN
  const head =
    mode === 'relay'
      ? ['proxy', 'processor ms per GB', 'from', 'to', 'ours is × this', 'MB/s']
      : ['proxy', 'processor µs each', 'from', 'to', 'ours is × this', 'per second', 'p50 ms', 'p99 ms', 'from', 'to']
  return table(
    head,
    figures.map(({ name, cost, rate, p50, p99, failure }) => {
      if (cost === undefined || rate === undefined) return [name, failure ?? '', ...head.slice(2).map(() => '')]
      const shared = [
        name,
        cost.median.toFixed(1),
        cost.min.toFixed(1),
        cost.max.toFixed(1),
        (ours / cost.median).toFixed(2),
        rate.median.toFixed(0),
      ]
      return mode === 'relay'
        ? shared
        : [...shared, ...[p50?.median, p99?.median, p99?.min, p99?.max].map((ms = 0) => ms.toFixed(2))]
    }),
  )
}

function renderRates(figures: readonly Figure[]): string {
  const ours = figures[0]?.p99?.median ?? Number.NaN
  return table(
    ['proxy', 'processor µs each', 'p50 ms', 'p99 ms', 'from', 'to', 'ours is × this'],
    figures.map(({ name, cost, p50, p99, failure }) =>
      cost === undefined || p50 === undefined || p99 === undefined
        ? [name, failure ?? '', '', '', '', '', '']
        : [
            name,
            cost.median.toFixed(1),
            p50.median.toFixed(2),
            p99.median.toFixed(2),
            p99.min.toFixed(2),
            p99.max.toFixed(2),
            (ours / p99.median).toFixed(2),
          ],
    ),
  )
}
