// What a test suite feels of the library: loading it, starting a lab in the process, and setting it back between tests.

import { startLab } from '../src/library/index.ts'
import { keepResults, table } from './report.ts'

const STARTS = 10
const RESETS = 20

interface Took {
  readonly ms: number
  /** of all threads of the process */
  readonly processorMs: number
}

/** Times starts and resets on the shipped configuration; each reset follows changes of every kind. */
export async function benchLibrary(tag: string): Promise<void> {
  const [starts, resets]: [Took[], Took[]] = [[], []]
  for (let count = 0; count < STARTS; count++) {
    const [lab, took] = await timed(() => startLab())
    starts.push(took)
    await lab.close()
  }
  await using lab = await startLab()
  for (let count = 0; count < RESETS; count++) {
    await lab.rules.add({ name: 'one more', precedence: 1, egress: { ipv4: '203.0.113.10' } })
    await lab.colos.down('LHR')
    await lab.clock.advance('14d')
    await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.10'] })
    await lab.fetch('http://erp.test/', { user: 'bob@example.com' })
    resets.push((await timed(() => lab.reset()))[1])
  }
  const head = ['library', 'first ms', 'median ms', 'slowest ms', 'first processor ms', 'median processor ms']
  const rows = [
    ['start of a lab', starts],
    ['reset after changes', resets],
  ] as const
  const cells = rows.map(([what, took]) => [what, ...figuresOf(took).map((ms) => (ms ?? 0).toFixed(1))])
  process.stdout.write(table(head, cells))
  await keepResults(tag, 'library', { starts, resets })
}

async function timed<T>(act: () => Promise<T>): Promise<[T, Took]> {
  const [before, processor] = [performance.now(), process.cpuUsage()]
  const result = await act()
  const { user, system } = process.cpuUsage(processor)
  return [result, { ms: performance.now() - before, processorMs: (user + system) / 1000 }]
}

function figuresOf(took: readonly Took[]) {
  const [ms, processor] = [took.map((one) => one.ms), took.map((one) => one.processorMs)]
  return [ms[0], median(ms), Math.max(...ms), processor[0], median(processor)]
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}
