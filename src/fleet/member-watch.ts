// Which members of a fleet can be used, as seen from one of them: by their heartbeats, and by the link to each. A member that hears
// not even its own heartbeat cannot tell who else is there, and judges by its links alone. Looks at no clock but its own.

import type { MemberEntry, Signed } from './log-message.ts'

/** What a member says of itself every second. */
export interface Beat extends Signed {
  readonly incarnation: string
  /** one more each time */
  readonly count: number
  readonly revision: number
  /** epoch ms of its machine */
  readonly at: number
  /** connections it carries */
  readonly sessions: number
  /** why it does not follow the log; '': it does */
  readonly trouble: string
  /** the last one: it stops */
  readonly leaving: boolean
}

export type LinkState = 'connecting' | 'up' | 'down'

export interface WatchedMember {
  readonly entry: MemberEntry
  readonly isSelf: boolean
  /** why no connection leaves there; undefined: they do */
  readonly lost: string | undefined
  readonly link: LinkState | 'self'
  readonly beat: Beat | undefined
  /** ms since it was heard; undefined: never */
  readonly silentMs: number | undefined
}

/** Silence after which a member is lost. */
export const LOST_AFTER_MS = 3_000
/** Clocks that are further apart are reported. */
export const CLOCKS_APART_MS = 10_000

interface Seen {
  entry: MemberEntry
  /** since when silence counts */
  since: number
  heardAt: number | undefined
  beat: Beat | undefined
  link: LinkState
}

/** Knows which members can be used right now. Times are monotonic, ms. */
export class MemberWatch {
  readonly #self: string
  readonly #now: () => number
  readonly #seen = new Map<string, Seen>()
  #ownHeardAt: number | undefined

  /** `now`: monotonic ms */
  constructor(self: string, now: () => number = () => performance.now()) {
    this.#self = self
    this.#now = now
  }

  /** The members of the log. One that starts again has everything before it. */
  setMembers(members: ReadonlyMap<string, MemberEntry>): void {
    for (const name of [...this.#seen.keys()]) if (!members.has(name)) this.#seen.delete(name)
    for (const entry of members.values()) {
      const seen = this.#seen.get(entry.name)
      if (seen?.entry.incarnation === entry.incarnation) seen.entry = entry
      else {
        const link = seen?.link ?? 'connecting'
        this.#seen.set(entry.name, { entry, since: this.#now(), heardAt: undefined, beat: undefined, link })
      }
    }
  }

  /** Answers whether it is news: of that start of the member, and not heard before. */
  hear(beat: Beat): boolean {
    const seen = this.#seen.get(beat.by)
    if (seen === undefined || seen.entry.incarnation !== beat.incarnation) return false
    if (seen.beat !== undefined && beat.count <= seen.beat.count) return false
    const now = this.#now()
    if (beat.by === this.#self) {
      // whoever was deaf gives the others time to be heard again
      if (!this.#canJudge()) for (const other of this.#seen.values()) other.since = now
      this.#ownHeardAt = now
    }
    seen.beat = beat
    seen.heardAt = now
    return true
  }

  setLink(member: string, link: LinkState): void {
    const seen = this.#seen.get(member)
    if (seen !== undefined) seen.link = link
  }

  members(): readonly WatchedMember[] {
    return [...this.#seen.values()].map((seen) => {
      const { entry, beat, heardAt } = seen
      const isSelf = entry.name === this.#self
      return {
        entry,
        isSelf,
        lost: this.#whyLost(seen, isSelf),
        link: isSelf ? 'self' : seen.link,
        beat,
        silentMs: heardAt === undefined ? undefined : this.#now() - heardAt,
      }
    })
  }

  /** Data centers that are down, since their member cannot be used. */
  lostColos(): ReadonlySet<string> {
    return new Set(this.members().flatMap(({ entry, lost }) => (lost === undefined ? [] : [entry.colo])))
  }

  #canJudge(): boolean {
    return this.#ownHeardAt !== undefined && this.#now() - this.#ownHeardAt < LOST_AFTER_MS
  }

  #whyLost({ entry, beat, heardAt, since, link }: Seen, isSelf: boolean): string | undefined {
    if (entry.drained) return 'it is drained'
    if (isSelf) return undefined
    if (beat?.leaving === true) return 'it has stopped'
    if (link === 'down') return 'the link to it is down'
    if (!this.#canJudge()) return undefined
    if (this.#now() - Math.max(heardAt ?? 0, since) <= LOST_AFTER_MS) return undefined
    return 'it is not heard any more'
  }
}
