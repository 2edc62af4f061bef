// Sessions decided again per second: one recording, replayed against itself and between two sets of rules, plain and packed,
// on one and two threads. Shows that the replay is right before it says how fast it is.

import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { type ReplayOutcome, type ReplayRequest, replay } from '../../src/replay/replay.ts'
import { keepResults, table } from '../report.ts'
import { generateRecording, type Recording } from './generate.ts'

const SESSIONS = 1_000_000
const QUICK_SESSIONS = 100_000

/** `BENCH_SESSIONS` in the environment takes another size. */
export async function benchReplayAll(tag: string, quick: boolean): Promise<void> {
  const count = Number(process.env.BENCH_SESSIONS ?? (quick ? QUICK_SESSIONS : SESSIONS))
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-bench-replay-'))
  try {
    process.stdout.write(`writing ${count.toLocaleString('en-US')} sessions …\n`)
    const recording = await generateRecording(folder, count)
    const packed = `${recording.sessions}.gz`
    await pipeline(createReadStream(recording.sessions), createGzip({ level: 1 }), createWriteStream(packed))
    const megabytes = statSync(recording.sessions).size / 1e6
    process.stdout.write(`${megabytes.toFixed(0)} MB, ${((megabytes * 1e6) / count).toFixed(0)} bytes a record\n\n`)
    const rows: Figures[] = []
    for (const threads of [1, 2]) {
      rows.push(await measure('against the recording', count, { ...requestOf(recording), threads }, 0))
      rows.push(
        await measure('two sets of rules', count, {
          ...requestOf(recording),
          against: recording.changedConfig,
          threads,
        }),
      )
      rows.push(await measure('packed', count, { ...requestOf(recording), sessions: [packed], threads }, 0))
    }
    const head = [
      'replay',
      'threads',
      'changed',
      'sessions per second',
      'MB per second',
      'processor µs per session',
      'peak MB',
    ]
    const cells = rows.map((one) => [
      one.what,
      String(one.threads),
      one.changed.toLocaleString('en-US'),
      Math.round(one.perSecond).toLocaleString('en-US'),
      ((one.perSecond / count) * megabytes).toFixed(0),
      one.processorUs.toFixed(1),
      one.rssMb.toFixed(0),
    ])
    process.stdout.write(table(head, cells))
    await keepResults(tag, 'replay', rows)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Figures {
  readonly what: string
  readonly threads: number
  readonly changed: number
  readonly perSecond: number
  readonly processorUs: number
  readonly rssMb: number
}

function requestOf({ config, sessions }: Recording): Omit<ReplayRequest, 'threads'> {
  return { sessions: [sessions], configFile: config, rules: config }
}

async function measure(what: string, count: number, request: ReplayRequest, changed?: number): Promise<Figures> {
  process.stderr.write(`${what}, ${request.threads} thread(s)\n`)
  const before = process.cpuUsage()
  const { summary, seconds }: ReplayOutcome = await replay(request)
  const { user, system } = process.cpuUsage(before)
  if (summary.decided !== count || (changed !== undefined && summary.changed !== changed)) {
    throw new Error(`${what}: ${summary.decided} of ${count} decided, ${summary.changed} changed`)
  }
  const rssMb = process.resourceUsage().maxRSS / 1e3
  return {
    what,
    threads: request.threads,
    changed: summary.changed,
    perSecond: summary.records / seconds,
    processorUs: (user + system) / summary.records,
    rssMb,
  }
}
