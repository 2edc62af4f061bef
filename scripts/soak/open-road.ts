// The road of one operation: keeps its connections, and what their records may come to.

import type { Socket } from 'node:net'
import type { Kind, Road } from './road.ts'
import type { Trip, Trips } from './trips.ts'

export interface SoakRoad extends Road {
  /** Its records may have any error that is not the lab's own fault. */
  allowAnyCode(): void
  /** Fewer records, too: it failed for a reason that excuses it. */
  allowAnything(): void
  /** Destroys what connections are left. */
  close(): void
}

export interface RoadFacts extends Pick<Road, 'ports' | 'who' | 'origin' | 'random' | 'holdRight'> {
  readonly kind: Pick<Kind, 'name' | 'sessions' | 'codes'>
  readonly trips: Trips
}

export function openRoad({ kind, trips, ...facts }: RoadFacts): SoakRoad {
  const sockets: Socket[] = []
  const mine: Trip[] = []
  const { who } = facts
  return {
    ...facts,
    sockets,
    embark: (socket, door, at) => {
      sockets.push(socket)
      const { name, sessions } = kind
      mine.push(trips.enter(socket, { kind: name, email: who.email, door, at, sessions, codes: kind.codes }))
    },
    leaves: (count) => {
      for (const trip of mine) trip.sessions = count
    },
    allowAnyCode: () => {
      for (const trip of mine) trip.codes = undefined
    },
    allowAnything: () => {
      for (const trip of mine) {
        trip.codes = undefined
        trip.sessions = [0, trip.sessions[1]]
      }
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
