// How many clients the operating system's limit of open files leaves room for. Each needs a descriptor here and one for its origin;
// what the lab itself needs stays in reserve (RS-03).

import { readdirSync, readFileSync } from 'node:fs'

/** What keeps a few descriptors free, as shares of all: for refusing clients, and for the API, logs, DNS and certificates. */
const LANE_SHARE = 1 / 8
const RESERVE_SHARE = 1 / 16
const MOST_IN_LANE = 256
const MOST_RESERVED = 512
/** epoll, event and listening descriptors of one worker thread */
const PER_WORKER = 16

export interface DescriptorFacts {
  /** open files this process may have */
  readonly limit: number
  /** and has, before its doors are open */
  readonly inUse: number
  readonly workers: number
  /** connections end at test origins of the same process, which need one as well */
  readonly ownOrigins: boolean
}

export interface ClientRoom {
  /** clients that can be served at one time */
  readonly clients: number
  /** clients that can be told at one time that they cannot */
  readonly turnedAway: number
}

/** The room there is; at least one client. */
export function roomFor({ limit, inUse, workers, ownOrigins }: DescriptorFacts): ClientRoom {
  const turnedAway = Math.max(8, Math.min(MOST_IN_LANE, Math.floor(limit * LANE_SHARE)))
  const reserved = Math.max(8, Math.min(MOST_RESERVED, Math.floor(limit * RESERVE_SHARE)))
  const own = inUse + (workers === 1 ? 0 : workers * PER_WORKER)
  const left = limit - own - turnedAway - reserved
  return { clients: Math.max(1, Math.floor(left / (ownOrigins ? 3 : 2))), turnedAway }
}

/** As the system says; undefined where it does not. */
export function descriptorsOfThisProcess(): Pick<DescriptorFacts, 'limit' | 'inUse'> | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : { limit: Number(limit), inUse: readdirSync('/proc/self/fd').length }
  } catch {
    return undefined
  }
}
