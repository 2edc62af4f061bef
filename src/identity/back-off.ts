// How long a credential check has to wait after wrong ones (AU-02). Counts per source and user name together, and per
// source alone; never refuses, and never makes anybody wait longer than a few seconds.

import { lru } from 'tiny-lru'

/** Wrong attempts that cost nothing, the first wait, the longest wait (ms). */
const PER_NAME = { free: 3, firstMs: 100, mostMs: 3000 }
const PER_SOURCE = { free: 20, firstMs: 25, mostMs: 250 }
/** Without a wrong attempt for this long, all is forgotten. */
const FORGET_MS = 5 * 60_000
const MOST_ENTRIES = 10_000

export interface BackOff {
  /** how long the next attempt from this source under this name has to wait, in ms */
  delayMs(source: string, name: string): number
  failed(source: string, name: string): void
  succeeded(source: string, name: string): void
}

/** `now`: monotonic milliseconds. */
export function createBackOff(now: () => number): BackOff {
  const entries = lru<{ failures: number; at: number }>(MOST_ENTRIES)
  const failuresOf = (key: string) => {
    const entry = entries.get(key)
    return entry === undefined || now() - entry.at > FORGET_MS ? 0 : entry.failures
  }
  const pair = (source: string, name: string) => `${source} ${name}`
  return {
    delayMs(source, name) {
      return Math.max(wait(failuresOf(pair(source, name)), PER_NAME), wait(failuresOf(source), PER_SOURCE))
    },
    failed(source, name) {
      for (const key of [pair(source, name), source]) entries.set(key, { failures: failuresOf(key) + 1, at: now() })
    },
    succeeded(source, name) {
      entries.delete(pair(source, name))
    },
  }
}

function wait(failures: number, { free, firstMs, mostMs }: typeof PER_NAME): number {
  return failures < free ? 0 : Math.min(mostMs, firstMs * 2 ** Math.min(failures - free, 20))
}
