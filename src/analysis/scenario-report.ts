// The result of a scenario as data: one timeline of entries, each saying when, who and why. Everything a report shows
// (who moved, whom allowlists refused, which connections were reset) is derived from the timeline.

import type { Difference } from './policy-test.ts'

/** A client and its destination. `login` is the proxy user name with its options: `bob@example.com;vnet=vnet-AMER`. */
export interface ScenarioClient {
  readonly login: string
  /** as the scenario writes it */
  readonly destination: string
}

/** What happened to a connection that was held open. */
export type ConnectionFate = 'opened' | 'kept' | 'reset' | 'lost'

export type ScenarioEntry =
  | { readonly kind: 'note'; readonly what: string }
  /** something was changed; `what` is a clause: `LAX (Los Angeles) goes down` */
  | { readonly kind: 'change'; readonly what: string }
  /** a client is first seen (`from` absent), or seen at another address. Addresses are text; null: refused. `after`:
   *  the changes since it was last seen */
  | ({ readonly kind: 'move'; readonly from?: string | null; readonly to: string | null } & ScenarioClient & {
        readonly why: string
        readonly after: readonly string[]
      })
  /** an allowlist refuses a client it admitted before or sees for the first time, or admits it again */
  | ({ readonly kind: 'refused' | 'admitted'; readonly source: string } & ScenarioClient)
  /** a connection failed where the last one had not, or failed differently */
  | ({ readonly kind: 'failed'; readonly code: string; readonly message: string } & ScenarioClient)
  /** the site locates the client in another country than before */
  | ({
      readonly kind: 'seen'
      readonly source: string
      readonly from: string | null
      readonly to: string | null
    } & ScenarioClient)
  /** an egress address failed by itself, or works again */
  | { readonly kind: 'outage'; readonly egress: string; readonly code: string; readonly message: string }
  | { readonly kind: 'recovery'; readonly egress: string }
  | ({
      readonly kind: 'connection'
      readonly fate: ConnectionFate
      readonly egress: string
      readonly why: string
    } & ScenarioClient)
  | {
      readonly kind: 'check'
      readonly name: string
      readonly line: number
      readonly passed: boolean
      readonly differences: readonly Difference[]
    }

/** `atMs`: since the start. `time`: by the lab's clock, epoch ms. */
export type TimedEntry = ScenarioEntry & { readonly atMs: number; readonly time: number }

export type EntryOf<K extends ScenarioEntry['kind']> = Extract<TimedEntry, { readonly kind: K }>

export interface ScenarioReport {
  readonly name: string
  readonly file: string
  readonly config: string
  /** through the proxy of a lab, or by decisions only */
  readonly mode: 'proxy' | 'decide'
  readonly visits: number
  readonly timeline: readonly TimedEntry[]
}

/** The entries of these kinds, in order. */
export function entriesOf<K extends ScenarioEntry['kind']>(
  { timeline }: Pick<ScenarioReport, 'timeline'>,
  ...kinds: readonly K[]
): EntryOf<K>[] {
  const wanted: readonly string[] = kinds
  return timeline.filter((entry): entry is EntryOf<K> => wanted.includes(entry.kind))
}

/** Whether every expectation held. */
export function passed(report: Pick<ScenarioReport, 'timeline'>): boolean {
  return entriesOf(report, 'check').every((check) => check.passed)
}

/** A period in which an allowlist refused a client; `untilMs` is absent if it lasted to the end. */
export interface Refusal extends ScenarioClient {
  readonly source: string
  readonly fromMs: number
  readonly untilMs?: number
}

/** Which allowlists refused whom, from when until when. */
export function refusalsOf({ timeline }: Pick<ScenarioReport, 'timeline'>): Refusal[] {
  const all: { -readonly [K in keyof Refusal]: Refusal[K] }[] = []
  for (const entry of timeline) {
    if (entry.kind !== 'refused' && entry.kind !== 'admitted') continue
    const { login, destination, source, atMs } = entry
    const open = all.find((one) => one.login === login && one.destination === destination && one.untilMs === undefined)
    if (open !== undefined) open.untilMs = atMs
    if (entry.kind === 'refused') all.push({ login, destination, source, fromMs: atMs })
  }
  return all
}
