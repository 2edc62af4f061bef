// What a proxy adds to one plain request when nothing else is going on: requests one at a time through it, and straight to the origin.

import { table } from '../report.ts'
import { type Contestant, subjectOf } from './contestant.ts'
import { load } from './load.ts'
import { median } from './measure.ts'

const ROUNDS = 3
const SECONDS = 1

export interface LatencyFigure {
  readonly name: string
  /** milliseconds, medians over the rounds */
  readonly through?: number
  readonly straight?: number
  readonly failure?: string
}

/** Every proxy that forwards requests, in turns. */
export async function compareLatency(running: readonly Contestant[], originPort: number): Promise<LatencyFigure[]> {
  const figures: LatencyFigure[] = []
  for (const contestant of running) {
    const { name, modes } = contestant.rival
    if (!modes.includes('http')) continue
    process.stderr.write(`latency: ${name}\n`)
    try {
      figures.push({ name, ...(await latencyOf(contestant, originPort)) })
    } catch (error) {
      figures.push({ name, failure: error instanceof Error ? error.message : String(error) })
    }
  }
  return figures
}

async function latencyOf(contestant: Contestant, originPort: number) {
  const p50s = { through: [] as number[], straight: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ['through', 'straight'] as const) {
      const subject = subjectOf(contestant, originPort)
      // an origin takes absolute-form as well (RFC 9112 section 3.2.2), so the same requests go straight to it
      const at = way === 'straight' ? { ...subject, proxy: subject.origin } : subject
      const report = await load(at, { mode: 'http', concurrency: 1, seconds: SECONDS })
      p50s[way].push(report.latency.p50 / 1e6)
    }
  }
  return { through: median(p50s.through), straight: median(p50s.straight) }
}

export function renderLatency(figures: readonly LatencyFigure[]): string {
  return table(
    ['proxy', 'p50 ms', 'straight', 'added'],
    figures.map(({ name, through, straight, failure }) =>
      through === undefined || straight === undefined
        ? [name, failure ?? '', '', '']
        : [name, through.toFixed(3), straight.toFixed(3), (through - straight).toFixed(3)],
    ),
  )
}
