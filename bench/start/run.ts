// How long the installed package takes to start, and what it holds while nothing happens: `--version`, `explain` and `start`
// until it listens, in turns with a Node that does nothing, so that the machine's mood falls on all of them.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { installTarball, packCheckout } from '../../scripts/install-packed.ts'
import { processorSeconds, residentBytes } from '../../src/load-test/proxy/origin-process.ts'
import { keepResults, table } from '../report.ts'

const ROUNDS = 9
/** Long enough for the garbage of the start to be collected and its pages returned. */
const IDLE_MS = 40_000

const EXPLAIN = ['explain', '--user', 'alice@example.com', 'https://bank.saas.test/']

interface Measured {
  readonly seconds: number
  /** user and system; of a lab until it listens. Other programs on the machine change it less than the seconds. */
  readonly processorSeconds?: number
  /** of a lab, once it has been idle for a while, MB */
  readonly residentMb?: number
}

/** `quick`: three rounds instead of nine. */
export async function benchStart(tag: string, quick: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-bench-start-'))
  try {
    process.stdout.write('packing and installing …\n')
    const project = join(folder, 'project')
    const command = join(installTarball(packCheckout(folder), project, { optional: true }), 'scripts', 'egresslab.mjs')
    const run = (args: readonly string[]) => () => untilExit(process.execPath, args, project)
    const lab = (program: string, args: readonly string[]) => () => untilListening(program, args, project)
    const subjects: Readonly<Record<string, () => Promise<Measured>>> = {
      'node -e 0': run(['-e', '0']),
      '--version': run([command, '--version']),
      explain: run([command, ...EXPLAIN]),
      'start to listening': lab(process.execPath, [command, 'start']),
      'npx egresslab --version': () => untilExit('npx', ['egresslab', '--version'], project),
      'npx egresslab start to listening': lab('npx', ['egresslab', 'start']),
    }
    const rounds = await inTurns(subjects, quick ? 3 : ROUNDS)
    const rows = Object.entries(rounds).map(([name, measured]) => [name, ...figuresOf(measured)])
    const head = ['', 'seconds, median', 'least', 'most', 'processor seconds', 'resident MB idle']
    process.stdout.write(table(head, rows))
    await keepResults(tag, 'start', rounds)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first two rounds fill caches and are not counted. */
async function inTurns(subjects: Readonly<Record<string, () => Promise<Measured>>>, count: number) {
  const rounds = Object.keys(subjects).map((name): [string, Measured[]] => [name, []])
  for (let round = -2; round < count; round++) {
    process.stderr.write(`starts, ${round < 0 ? 'warming up' : `round ${round + 1} of ${count}`}\n`)
    for (const [name, kept] of rounds) {
      const measured = await subjects[name]?.()
      if (round >= 0 && measured !== undefined) kept.push(measured)
    }
  }
  return Object.fromEntries(rounds)
}

function figuresOf(measured: readonly Measured[]): string[] {
  const seconds = measured.map((one) => one.seconds).toSorted((a, b) => a - b)
  const [median = 0, least = 0, most = 0] = [seconds[seconds.length >> 1], seconds[0], seconds.at(-1)]
  const processor = range(
    measured.flatMap(({ processorSeconds }) => processorSeconds ?? []),
    2,
  )
  const resident = range(
    measured.flatMap(({ residentMb }) => residentMb ?? []),
    0,
  )
  return [median.toFixed(3), least.toFixed(3), most.toFixed(3), processor, resident]
}

function range(figures: readonly number[], digits: number): string {
  if (figures.length === 0) return ''
  return `${Math.min(...figures).toFixed(digits)}–${Math.max(...figures).toFixed(digits)}`
}

/** The shell says what processor time it took: nobody else can, once it has ended. */
async function untilExit(program: string, args: readonly string[], cwd: string): Promise<Measured> {
  const started = performance.now()
  const { stdout } = await promisify(execFile)('sh', ['-c', '"$@" >&2 || exit 1; times', 'sh', program, ...args], {
    cwd,
  })
  const seconds = (performance.now() - started) / 1000
  const [, ofChildren = ''] = stdout.split('\n')
  const used = [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, rest]) => Number(minutes) * 60 + Number(rest),
  )
  return { seconds, processorSeconds: used.reduce((sum, one) => sum + one, 0) }
}

/** Until the line that `start` ends with: by then everything listens. */
async function untilListening(program: string, args: readonly string[], cwd: string): Promise<Measured> {
  const started = performance.now()
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  const own = program === process.execPath && process.platform === 'linux' ? (child.pid ?? 0) : undefined
  let seconds: number | undefined
  let said = ''
  for await (const text of child.stderr) {
    said += text
    if (!said.includes('explains why.')) continue
    seconds = (performance.now() - started) / 1000
    break
  }
  if (seconds === undefined) throw new Error(`the lab did not start:\n${said}`)
  const processorUsed = own === undefined ? 0 : processorSeconds([own])
  if (own !== undefined) await pause(IDLE_MS)
  const more = own === undefined ? {} : { processorSeconds: processorUsed, residentMb: residentBytes(own) / 1e6 }
  child.kill('SIGTERM')
  await once(child, 'exit')
  // npx may be gone before the lab it started
  while (existsSync(join(cwd, '.egresslab', 'owner'))) await pause(50)
  return { seconds, ...more }
}
