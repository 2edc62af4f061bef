// Memory of idle tunnels: thousands are opened through a fresh process of each proxy and left alone; what it then has more resident
// than without them, for each tunnel. Without them: before, when it has worked for a second, or after, whichever is less: some give memory
// back and some had more than they needed.

import type { Socket } from 'node:net'
import { openTunnel, type ProxyUnderTest } from '../../src/load-test/proxy/operation.ts'
import { residentBytes } from '../../src/load-test/proxy/origin-process.ts'
import { table } from '../report.ts'
import { type Contestant, subjectOf } from './contestant.ts'
import { load } from './load.ts'

const TUNNELS = 9000
const OPENED_AT_ONCE = 50

export interface IdleFigure {
  readonly name: string
  readonly tunnels: number
  /** bytes, each */
  readonly memory?: number
  readonly failure?: string
}

/** Every proxy that does CONNECT, one after the other. */
export async function compareIdle(running: readonly Contestant[], originPort: number): Promise<IdleFigure[]> {
  const figures: IdleFigure[] = []
  for (const contestant of running) {
    const { name, modes } = contestant.rival
    if (!modes.includes('connect')) continue
    process.stderr.write(`idle tunnels: ${name}\n`)
    const fresh = await contestant.another()
    try {
      figures.push({ name, tunnels: TUNNELS, ...(await idle(fresh, subjectOf(fresh, originPort), TUNNELS)) })
    } finally {
      await fresh.proxy.stop()
    }
  }
  return figures
}

/** Memory of so many tunnels of a proxy that has none. */
export async function idle(
  contestant: Contestant,
  subject: ProxyUnderTest,
  count: number,
): Promise<Pick<IdleFigure, 'memory' | 'failure'>> {
  const tunnels: Socket[] = []
  await load(subject, { mode: 'connect', concurrency: OPENED_AT_ONCE, seconds: 1 })
  const before = await resident(contestant)
  const open = async () => {
    while (tunnels.length < count) tunnels.push(await openTunnel('connect', subject))
  }
  try {
    await Promise.all(Array.from({ length: OPENED_AT_ONCE }, open))
    const full = await resident(contestant)
    for (const tunnel of tunnels) tunnel.destroy()
    const after = await resident(contestant)
    return { memory: (full - Math.min(before, after)) / tunnels.length }
  } catch (error) {
    return { failure: `${tunnels.length} opened: ${error instanceof Error ? error.message : String(error)}` }
  } finally {
    for (const tunnel of tunnels) tunnel.destroy()
  }
}

async function resident({ proxy, rival }: Contestant): Promise<number> {
  const [pid = 0] = proxy.pids()
  await rival.tidy?.(pid)
  return proxy.pids().reduce((sum, each) => sum + residentBytes(each), 0)
}

export function renderIdle(figures: readonly IdleFigure[]): string {
  return table(
    ['proxy', 'tunnels', 'KB each'],
    figures.map(({ name, tunnels, memory, failure }) => [
      name,
      String(tunnels),
      memory === undefined ? (failure ?? '') : (memory / 1000).toFixed(1),
    ]),
  )
}
