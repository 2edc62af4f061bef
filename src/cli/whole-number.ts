// Options that count something.

import { InvalidArgumentError } from 'commander'

/** Reads a whole number from 1 to 10,000,000; anything else is a usage error. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 10_000_000) {
    throw new InvalidArgumentError('expected a whole number from 1 to 10,000,000.')
  }
  return value
}

/** As many as the configuration may name. */
const MOST_WORKERS = 64

/** Reads a number of worker threads. */
export function workerCount(text: string): number {
  const number = wholeNumber(text)
  if (number > MOST_WORKERS) throw new InvalidArgumentError(`expected at most ${MOST_WORKERS}.`)
  return number
}
