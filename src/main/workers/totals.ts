// Numbers of several workers as one, the dead ones' included: totals never go back because a worker was replaced.

import type { PortLeaseCounts } from '../../outbound/port-leases.ts'
import type { ConnectionCounts, DatagramCounts } from '../../proxy/counters.ts'
import type { WorkerNumbers } from './messages.ts'

type Counted = Readonly<Record<string, number>>

export function sumOfCounts(all: readonly WorkerNumbers[]): ConnectionCounts {
  const of = (key: 'active' | 'opened' | 'closed' | 'bytesReceived' | 'bytesSent') =>
    sum(all.map(({ counts }) => counts[key]))
  return {
    active: of('active'),
    opened: of('opened'),
    closed: of('closed'),
    refused: sumByName(all.map(({ counts }) => counts.refused)),
    bytesReceived: of('bytesReceived'),
    bytesSent: of('bytesSent'),
  }
}

export function sumOfDatagrams(all: readonly WorkerNumbers[]): DatagramCounts {
  const of = (key: 'associations' | 'sent' | 'received') => sum(all.map(({ datagrams }) => datagrams[key]))
  const dropped = sumByName(all.map(({ datagrams }) => datagrams.dropped))
  return { associations: of('associations'), sent: of('sent'), received: of('received'), dropped }
}

export function sumOfLeases(all: readonly WorkerNumbers[]): Pick<PortLeaseCounts, 'refused' | 'pressure'> {
  const reached = (percent: 80 | 95 | 100) => sum(all.map(({ leases }) => leases.pressure[percent]))
  const pressure = { 80: reached(80), 95: reached(95), 100: reached(100) }
  return { refused: sum(all.map(({ leases }) => leases.refused)), pressure }
}

/** What remains of a worker that is gone: its totals, and nothing of what it had open. */
export function remainsOf({ counts, datagrams, leases }: WorkerNumbers): WorkerNumbers {
  return { counts: { ...counts, active: 0 }, datagrams: { ...datagrams, associations: 0 }, leases }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function sumByName(all: readonly Counted[]): Counted {
  const total: Record<string, number> = {}
  for (const counts of all) {
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count
  }
  return total
}
