// `npm run bench -- growth`: cost and memory against rules, people, open tunnels, session rate and workers. Draws the curves
// of docs/growth.md into docs/images/growth-*.svg, and keeps what they are drawn from beside them in growth.json.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Contestant, startContestant, subjectOf } from '../proxy/contestant.ts'
import { idle } from '../proxy/idle-memory.ts'
import { hasRates, startOrigin } from '../proxy/load.ts'
import { measureRound } from '../proxy/measure.ts'
import { OURS, oursOn } from '../proxy/ours.ts'
import { table } from '../report.ts'
import type { GrowthPoint } from './measure.ts'
import { drawPlot, type Plot } from './plot.ts'

const IMAGES = join(import.meta.dirname, '../../docs/images')
const DATA = join(IMAGES, 'growth.json')

const SIZES = [10, 100, 1000, 10_000, 100_000, 1_000_000]
/** Fewer disappear in what the process does besides; of more descriptors than 20,000 half are the clients' own. */
const TUNNELS = [300, 1000, 3000, 9000]
const WORKERS = [1, 2, 4]
const RATES = [100, 300, 1000, 2000, 3000, 4000]
const AT_ONCE = 50
const SECONDS = 4
const FIRST_PORT = 21_000

type Curves = Readonly<Record<string, readonly GrowthPoint[]>>

const KINDS: Readonly<Record<string, () => Promise<GrowthPoint[]>>> = {
  rules: async () => SIZES.map((size) => pointOf('rules', size)),
  people: async () => SIZES.map((size) => pointOf('people', size)),
  tunnels: () => tunnels(),
  rate: () => withOurs(async (ours, originPort) => rates(ours, originPort)),
  workers: () => workers(),
}

/** `only`: some of the curves, by name; the others stay as they were. */
export async function benchGrowth(only: readonly string[]): Promise<void> {
  const curves: Record<string, readonly GrowthPoint[]> = { ...kept() }
  for (const [kind, measure] of Object.entries(KINDS)) {
    if (only.length > 0 && !only.includes(kind)) continue
    process.stderr.write(`growth by ${kind}\n`)
    const points = await measure()
    curves[kind] = points
    const names = Object.keys(points[0]?.figures ?? {})
    const rows = points.map(({ size, figures }) => [
      size.toLocaleString('en-US'),
      ...names.map((name) => (figures[name] ?? 0).toPrecision(3)),
    ])
    process.stdout.write(`\n${table([kind, ...names], rows)}`)
  }
  writeFileSync(
    DATA,
    `${JSON.stringify({ at: new Date().toISOString().slice(0, 10), node: process.version, curves }, null, 2)}\n`,
  )
  for (const [name, plot] of Object.entries(plotsOf(curves))) {
    writeFileSync(join(IMAGES, `growth-${name}.svg`), drawPlot(plot))
  }
}

function kept(): Curves {
  try {
    return JSON.parse(readFileSync(DATA, 'utf8')).curves
  } catch {
    return {}
  }
}

function pointOf(kind: string, size: number): GrowthPoint {
  process.stderr.write(`  ${size}\n`)
  const script = join(import.meta.dirname, 'measure.ts')
  const args = ['--max-old-space-size=12000', script, kind, String(size)]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${size} ${kind}: ${stderr}`)
  return JSON.parse(stdout)
}

async function withOurs<T>(measure: (ours: Contestant, originPort: number) => Promise<T>, proxy = OURS): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-growth-'))
  const origin = await startOrigin()
  const ours = await startContestant(proxy, { port: FIRST_PORT, source: '127.0.10.10', folder })
  try {
    return await measure(ours, origin.port)
  } finally {
    await ours.proxy.stop()
    await origin.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A fresh proxy for each: memory that one gave back would be another's. */
async function tunnels(): Promise<GrowthPoint[]> {
  const points: GrowthPoint[] = []
  for (const size of TUNNELS) {
    process.stderr.write(`  ${size}\n`)
    const { memory, failure } = await withOurs((ours, originPort) => idle(ours, subjectOf(ours, originPort), size))
    if (memory === undefined) throw new Error(`${size} tunnels: ${failure}`)
    points.push({ size, figures: { bytes: memory } })
  }
  return points
}

/** At a fixed rate, latency counted from when each tunnel was due. */
async function rates(ours: Contestant, originPort: number): Promise<GrowthPoint[]> {
  if (!hasRates) throw new Error('a fixed rate needs the load generator in C: install a compiler (`cc`)')
  const subject = subjectOf(ours, originPort)
  await measureRound(ours.proxy, subject, { mode: 'connect', concurrency: AT_ONCE, seconds: SECONDS })
  const points: GrowthPoint[] = []
  for (const rate of RATES) {
    const { cost, load } = await measureRound(ours.proxy, subject, {
      mode: 'connect',
      concurrency: AT_ONCE,
      seconds: SECONDS,
      rate,
    })
    const figures = { processorUs: cost, p50Ms: load.latency.p50 / 1e6, p99Ms: load.latency.p99 / 1e6 }
    points.push({ size: Math.round(load.operations / load.seconds), figures })
  }
  return points
}

async function workers(): Promise<GrowthPoint[]> {
  const points: GrowthPoint[] = []
  for (const size of WORKERS) {
    const measure = async (ours: Contestant, originPort: number): Promise<GrowthPoint> => {
      const request = { mode: 'connect', concurrency: AT_ONCE, seconds: SECONDS } as const
      const subject = subjectOf(ours, originPort)
      await measureRound(ours.proxy, subject, request)
      const { cost, load } = await measureRound(ours.proxy, subject, request)
      return { size, figures: { processorUs: cost, perSecond: load.operations / load.seconds } }
    }
    points.push(await withOurs(measure, oursOn(size)))
  }
  return points
}

function plotsOf(curves: Curves): Readonly<Record<string, Plot>> {
  const curve = (kind: string, figure: string, name: string) => ({
    name,
    points: (curves[kind] ?? [])
      .map(({ size, figures }) => [size, figures[figure] ?? 0] as const)
      .toSorted(([a], [b]) => a - b),
  })
  const plots: Record<string, Plot> = {
    rules: {
      title: 'Deciding a connection, by the number of rules, without the cache',
      x: 'rules',
      y: 'ns',
      curves: [
        curve('rules', 'decideNs', 'mean, processor time'),
        curve('rules', 'p50Ns', 'p50'),
        curve('rules', 'p99Ns', 'p99'),
      ],
    },
    compile: {
      title: 'Compiling rules, per rule',
      x: 'rules',
      y: 'µs and bytes per rule',
      curves: [
        curve('rules', 'compileUs', 'processor µs'),
        curve('rules', 'bytes', 'bytes kept'),
        curve('rules', 'peakBytes', 'bytes at the most'),
      ],
    },
    people: {
      title: 'Deciding among 1,000 rules, by the number of people who connect',
      x: 'people',
      y: 'ns and bytes per person',
      curves: [
        curve('people', 'decideNs', 'mean, processor ns'),
        curve('people', 'p99Ns', 'p99, ns'),
        curve('people', 'bytes', 'bytes kept per person'),
      ],
    },
    tunnels: {
      title: 'Memory of idle tunnels',
      x: 'tunnels open',
      y: 'bytes each',
      curves: [curve('tunnels', 'bytes', 'resident bytes per tunnel')],
    },
    rate: {
      title: 'A CONNECT tunnel with one exchange, by the rate at which they begin',
      x: 'tunnels a second',
      y: 'µs and ms',
      curves: [
        curve('rate', 'processorUs', 'processor µs each'),
        curve('rate', 'p50Ms', 'p50, ms'),
        curve('rate', 'p99Ms', 'p99, ms'),
      ],
    },
    workers: {
      title: 'A CONNECT tunnel with one exchange, by workers',
      x: 'workers',
      y: 'µs and tunnels a second',
      curves: [curve('workers', 'processorUs', 'processor µs each'), curve('workers', 'perSecond', 'tunnels a second')],
    },
  }
  return Object.fromEntries(
    Object.entries(plots).filter(([, { curves: all }]) => all.some(({ points }) => points.length > 0)),
  )
}
