// `npm run bench -- proxy`: our proxy beside Squid, Tinyproxy, Dante, microsocks and http-proxy, in turns, on loopback.
// Processor time per operation is what counts: rates depend on what the load generator leaves of two cores.

import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startOriginProcess } from '../../src/load-test/proxy/origin-process.ts'
import { type LoadMode, runLoad } from '../../src/load-test/proxy/run-load.ts'
import { keepResults, table } from '../report.ts'
import { compareLatency, renderLatency } from './added-latency.ts'
import { type Contestant, startContestant, subjectOf } from './contestant.ts'
import { compareIdle, renderIdle } from './idle-memory.ts'
import { measureRound, median, type Round } from './measure.ts'
import { OURS, OURS_BY_DOOR, OURS_ON_TWO } from './ours.ts'
import { isInstalled, RIVALS } from './rivals.ts'

const MODES: readonly LoadMode[] = ['connect', 'socks5', 'http', 'relay', 'udp']
/** not counted: programs that are compiled while they run take some seconds to be what they are for hours */
const WARM_UPS = 1
const ROUNDS = 5
/** How each round begins, not counted either: V8 gives memory back after eight idle seconds, and every program idles while others have
 *  their turn. */
const RUN_UP_SECONDS = 1.5
const SECONDS = 3
const FIRST_PORT = 18_400

/** Each proxy leaves from an address of its own, or one would find its ports in the other's TIME_WAIT. */
function sourceOf(contestant: number): string {
  return `127.0.10.${10 + contestant}`
}

export async function benchProxyAll(tag: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'egresslab-bench-'))
  // daemons that drop root must reach their folders below it
  await chmod(folder, 0o755)
  const origin = await startOriginProcess('127.0.0.1')
  const running: Contestant[] = []
  try {
    for (const [at, rival] of [OURS, OURS_ON_TWO, OURS_BY_DOOR, ...RIVALS].entries()) {
      if (!isInstalled(rival)) {
        process.stderr.write(`${rival.name} is not installed and left out (Debian package ${rival.debianPackage})\n`)
        continue
      }
      const port = FIRST_PORT + 10 * at
      running.push(await startContestant(rival, { port, source: sourceOf(at), folder: join(folder, String(at)) }))
    }
    const figures: Record<string, Figure[]> = {}
    for (const mode of MODES) {
      figures[mode] = await compare(mode, running, origin.port)
      process.stdout.write(`\n${TITLES[mode]}:\n\n${render(mode, figures[mode])}`)
    }
    // what is said of one of ours here holds for all
    const others = running.filter(({ rival }) => rival !== OURS_ON_TWO && rival !== OURS_BY_DOOR)
    const latency = await compareLatency(others, origin.port)
    process.stdout.write(
      `\nOne plain request at a time, and what that adds to asking the origin straight:\n\n${renderLatency(latency)}`,
    )
    const idle = await compareIdle(others, origin.port)
    process.stdout.write(`\nIdle CONNECT tunnels:\n\n${renderIdle(idle)}`)
    await keepResults(tag, 'proxy', { ...figures, latency, idle })
  } finally {
    for (const { proxy } of running) await proxy.stop()
    await origin.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

const TITLES: Readonly<Record<LoadMode, string>> = {
  connect: 'CONNECT tunnel opened, one small exchange, closed; 50 at a time',
  socks5: 'SOCKS5 tunnel likewise',
  http: 'Absolute-form keep-alive GET; 50 connections',
  relay: 'Relay over 4 tunnels',
  udp: 'Datagram there and back through a SOCKS5 association; 50 at a time',
}

interface Figure {
  readonly name: string
  /** medians over the rounds; a proxy that failed has none */
  readonly cost?: number
  readonly rate?: number
  readonly p50?: number
  readonly p99?: number
  readonly failure?: string
}

async function compare(mode: LoadMode, running: readonly Contestant[], originPort: number): Promise<Figure[]> {
  const contestants = running.filter(({ rival }) => rival.modes.includes(mode))
  const rounds = new Map<string, Round[]>()
  const failures = new Map<string, string>()
  for (let round = -WARM_UPS; round < ROUNDS; round++) {
    for (const contestant of contestants) {
      const { rival } = contestant
      if (failures.has(rival.name)) continue
      const which = round < 0 ? 'warming up' : `round ${round + 1} of ${ROUNDS}`
      process.stderr.write(`${mode}, ${which}: ${rival.name}\n`)
      try {
        const subject = subjectOf(contestant, originPort)
        const load = { mode, concurrency: mode === 'relay' ? 4 : 50 }
        await runLoad(subject, { ...load, seconds: RUN_UP_SECONDS })
        const result = await measureRound(contestant.proxy, subject, { ...load, seconds: SECONDS })
        if (round >= 0) rounds.set(rival.name, [...(rounds.get(rival.name) ?? []), result])
      } catch (error) {
        failures.set(rival.name, error instanceof Error ? error.message : String(error))
      }
    }
  }
  return contestants.map(({ rival: { name } }) => {
    const failure = failures.get(name)
    if (failure !== undefined) return { name, failure }
    const all = rounds.get(name) ?? []
    const of = (read: (round: Round) => number) => median(all.map(read))
    return {
      name,
      cost: of(({ cost }) => cost),
      rate: of(({ load }) => load.operations / load.seconds),
      p50: of(({ load }) => load.latency.p50 / 1e6),
      p99: of(({ load }) => load.latency.p99 / 1e6),
    }
  })
}

function render(mode: LoadMode, figures: readonly Figure[]): string {
  const ours = figures[0]?.cost ?? Number.NaN
  if (mode === 'relay') {
    return table(
      ['proxy', 'GB per processor second', 'ours is × this'],
      figures.map(({ name, cost, failure }) =>
        cost === undefined ? [name, failure ?? '', ''] : [name, (cost / 1e9).toFixed(2), (ours / cost).toFixed(2)],
      ),
    )
  }
  return table(
    ['proxy', 'processor µs each', 'ours is × this', 'per second', 'p50 ms', 'p99 ms'],
    figures.map(({ name, cost, rate, p50, p99, failure }) =>
      cost === undefined
        ? [name, failure ?? '', '', '', '', '']
        : [
            name,
            cost.toFixed(0),
            (ours / cost).toFixed(2),
            (rate ?? 0).toFixed(0),
            (p50 ?? 0).toFixed(2),
            (p99 ?? 0).toFixed(2),
          ],
    ),
  )
}
