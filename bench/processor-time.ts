// Processor time of short work, in rounds: what other programs on the machine change least.

/** ns of this process, all its threads */
export function processorNs(act: () => void): number {
  const before = process.cpuUsage()
  act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1000
}

/** Figures of rounds, one or more. */
export interface Rounds {
  readonly median: number
  readonly least: number
  readonly most: number
}

export function roundsOf(figures: readonly number[]): Rounds {
  const sorted = figures.toSorted((a, b) => a - b)
  return { median: sorted[sorted.length >> 1] ?? 0, least: sorted[0] ?? 0, most: sorted.at(-1) ?? 0 }
}

/** `median (least–most)`, with so many digits behind the point. */
export function shown({ median, least, most }: Rounds, digits = 1): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`
}

export const ROUNDS = 9

/** Rounds of several subjects in turns, so that the machine's mood falls on all of them; the first two of each are not
 *  counted. A subject answers with its figure. */
export function inTurns(subjects: Readonly<Record<string, () => number>>, rounds = ROUNDS): Record<string, Rounds> {
  const kept = new Map(Object.keys(subjects).map((name) => [name, [] as number[]]))
  for (let round = -2; round < rounds; round++) {
    for (const [name, measure] of Object.entries(subjects)) {
      const figure = measure()
      if (round >= 0) kept.get(name)?.push(figure)
    }
  }
  return Object.fromEntries([...kept].map(([name, figures]) => [name, roundsOf(figures)]))
}
