// `npm run bench -- change`: from the edit of one rule to the snapshot that decides by it, in memory: checks, the account,
// the index. A connection waits no longer than that.

import { createSyntheticSubject } from '../src/load-test/bench-decide.ts'
import type { Flow } from '../src/policy/flow.ts'
import { processorNs, roundsOf, shown } from './processor-time.ts'
import { keepResults, table } from './report.ts'
import { storeWith } from './synthetic-store.ts'

const SIZES = [1000, 10_000, 100_000]
/** as many as change before all rules are compiled again */
const CHANGES = 60

export async function benchChange(tag: string): Promise<void> {
  const rows = SIZES.map((size) => ({ size, ...measureChanges(size) }))
  const cells = rows.map(({ size, processorMs, pauseMs }) => [
    size.toLocaleString('en-US'),
    shown(processorMs, 2),
    shown(pauseMs, 2),
  ])
  process.stdout.write(table(['rules', 'one changed rule in force, processor ms', 'pause, ms'], cells))
  await keepResults(tag, 'change', rows)
}

function measureChanges(size: number) {
  const subject = createSyntheticSubject(size, 1)
  const { store } = storeWith(subject)
  const processor: number[] = []
  const pauses: number[] = []
  for (let count = 0; count < CHANGES; count++) {
    const id = subject.rules[Math.floor((count * size) / CHANGES)]?.id ?? ''
    const port = 1 + count
    const started = performance.now()
    const spent = processorNs(() =>
      store.change((draft) => {
        const rule = draft.get('rule', id)
        if (rule !== undefined) draft.put('rule', { ...rule, identity: '', traffic: `net.src.port == ${port}` })
      }),
    )
    // the first ones are compiled while they run
    if (count >= CHANGES / 3) {
      pauses.push(performance.now() - started)
      processor.push(spent / 1e6)
    }
    const [flow] = subject.flows
    if (flow !== undefined) mustDecide(store.current().ruleset.firstMatch(from(flow, port))?.rule.id, id, port)
  }
  store.close()
  return { processorMs: roundsOf(processor), pauseMs: roundsOf(pauses) }
}

function from(flow: Flow, port: number): Flow {
  return { ...flow, source: { ip: flow.source.ip, port }, destination: { ip: flow.source.ip, port: 9 } }
}

/** An earlier rule may match as well. */
function mustDecide(found: string | undefined, id: string, port: number): void {
  if (found === undefined || found > id) throw new Error(`port ${port}: decided by ${found ?? 'nothing'}, not by ${id}`)
}
