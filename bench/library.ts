// What a test suite feels of the library: loading it, starting a lab in the process, and setting it back between tests.

import { startLab } from '../src/library/index.ts'
import { keepResults, table } from './report.ts'

const STARTS = 10
const RESETS = 20

/** Times starts and resets on the shipped configuration; each reset follows changes of every kind. */
export async function benchLibrary(tag: string): Promise<void> {
  const [starts, resets]: [number[], number[]] = [[], []]
  for (let count = 0; count < STARTS; count++) {
    const before = performance.now()
    const lab = await startLab()
    starts.push(performance.now() - before)
    await lab.close()
  }
  await using lab = await startLab()
  for (let count = 0; count < RESETS; count++) {
    await lab.rules.add({ name: 'one more', precedence: 1, egress: { ipv4: '203.0.113.10' } })
    await lab.colos.down('LHR')
    await lab.clock.advance('14d')
    await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.10'] })
    await lab.fetch('http://erp.test/', { user: 'bob@example.com' })
    const before = performance.now()
    await lab.reset()
    resets.push(performance.now() - before)
  }
  const rows = [
    ['start of a lab', starts],
    ['reset after changes', resets],
  ] as const
  const head = ['library', 'first ms', 'median ms', 'slowest ms']
  process.stdout.write(
    table(
      head,
      rows.map(([what, times]) => [what, ...figuresOf(times)]),
    ),
  )
  await keepResults(tag, 'library', { starts, resets })
}

function figuresOf(times: readonly number[]): string[] {
  const sorted = times.toSorted((a, b) => a - b)
  return [times[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)].map((ms) => (ms ?? 0).toFixed(1))
}
