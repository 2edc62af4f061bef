// What an operation of the soak is given, and what kinds of operations there are.

import type { Socket } from 'node:net'
import type { Random } from '../../src/load-test/random.ts'
import type { FaultyOrigin } from './faulty-origin.ts'
import type { Traveller } from './situation.ts'
import type { Door, Sessions } from './trips.ts'

export interface Road {
  readonly ports: Readonly<Record<Door, number>>
  readonly who: Traveller
  readonly origin: FaultyOrigin
  /** of this operation's own, so that a seed repeats it */
  readonly random: Random
  /** its connections to the lab, in order */
  readonly sockets: readonly Socket[]
  /** Tells the soak of a connection to the lab, begun at `at` (epoch ms). */
  readonly embark: (socket: Socket, door: Door, at: number) => void
  /** Its connections so far leave so many records each, instead of what its kind says. */
  readonly leaves: (sessions: Sessions) => void
  /** throws unless this is an address that was right at some moment since the operation began */
  readonly holdRight: (address: string, host: string) => void
}

export interface Kind {
  readonly name: string
  /** how often, beside the others */
  readonly weight: number
  /** how many records each of its connections leaves */
  readonly sessions: Sessions
  /** error codes its records may have; undefined: any that is not the lab's own fault */
  readonly codes: readonly string[] | undefined
  /** always as this person */
  readonly as?: Traveller
  /** Rejects with what is wrong with its outcome. */
  readonly run: (road: Road) => Promise<void>
}
