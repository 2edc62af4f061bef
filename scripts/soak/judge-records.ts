// Reads the session log of a soak and holds every record against what else is known of it: the situation of its policy revision (the
// egress address is one that is right, and the socket was bound to that address's stand-in), the client connection it belongs to
// (as many records as sessions, errors that its fault allows), and what the soak's own origin saw (source and bytes).

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { UNSEEN, type Visit } from './faulty-origin.ts'
import { rightAddresses, type Situation } from './situation.ts'
import type { Trip, Trips } from './trips.ts'

export interface Evidence {
  readonly situationAt: (revision: number) => Situation | undefined
  readonly trips: Trips
  /** by the ends that the origin saw, `A:1 to B:2` */
  readonly visits: ReadonlyMap<string, readonly Visit[]>
  /** where the soak's own origin really is */
  readonly origins: ReadonlySet<string>
}

export interface Judgement {
  readonly records: number
  /** records with an egress address, each of which was judged */
  readonly judged: number
  /** records compared with what the soak's own origin saw */
  readonly compared: number
  /** of those, to the byte */
  readonly exact: number
  /** by reason of closing */
  readonly closeReasons: Readonly<Record<string, number>>
  /** by code, of those that failed */
  readonly errors: Readonly<Record<string, number>>
  /** the first of them, each a sentence */
  readonly wrong: readonly string[]
  readonly wrongCount: number
}

const SHOWN = 20
/** the lab's own fault, whatever happens around it */
const NEVER = ['internal.invariant', 'egress.unroutable', 'egress.address_missing', 'guard.own_listener']
const CLOCK_SLACK_MS = 500
/** connections whose byte counts are those of a tunnel */
const TUNNELS = ['http-connect', 'socks4', 'socks5', 'h2-connect']

/** Reads the files in order, oldest first. */
export async function judgeRecords(files: readonly string[], evidence: Evidence): Promise<Judgement> {
  const judge = new Judge(evidence)
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) judge.take(JSON.parse(line))
  }
  return judge.judgement()
}

class Judge {
  readonly #evidence: Evidence
  readonly #closeReasons: Record<string, number> = {}
  readonly #errors: Record<string, number> = {}
  readonly #wrong: string[] = []
  #records = 0
  #judged = 0
  #compared = 0
  #exact = 0
  #wrongCount = 0
  /** connections that were reset before the origin could ask where they came from */
  #unseen: number

  constructor(evidence: Evidence) {
    this.#evidence = evidence
    this.#unseen = evidence.visits.get(UNSEEN)?.length ?? 0
  }

  take(record: SessionRecord): void {
    this.#records++
    count(this.#closeReasons, record.ConnectionCloseReason)
    const code = record.Lab.error?.code
    if (code !== undefined) count(this.#errors, code)
    const { trips, situationAt } = this.#evidence
    const startedAt = Date.parse(record.SessionStartTime)
    const trip = trips.find(record.Lab.listener, record.SourcePort, startedAt)
    if (trip !== undefined) trip.records++
    const where = `session ${record.SessionID} (${trip?.kind ?? 'of nobody'}, ${record.Lab.inbound}, ${record.SessionStartTime})`
    const complain = (problem: string | undefined) => {
      if (problem !== undefined) this.#complain(`${where}: ${problem}`)
    }
    if (trip === undefined) complain('no client connection of the soak is known for it')
    else complain(wrongCode(record, trip))
    if (record.EgressIP !== '') {
      this.#judged++
      complain(wrongAddress(record, situationAt(record.Lab.policyRevision)))
    }
    if (record.Lab.bind !== undefined && this.#evidence.origins.has(record.Lab.dial ?? '')) {
      complain(this.#compareWithOrigin(record, record.Lab.bind, startedAt))
    }
  }

  judgement(): Judgement {
    for (const trip of this.#evidence.trips.all()) {
      const [least, most] = trip.sessions
      if (trip.records >= least && trip.records <= most) continue
      const expected = least === most ? `${least}` : `${least} to ${most}`
      const when = new Date(trip.at).toISOString()
      this.#complain(
        `${trip.kind} by ${trip.email} (${when}, port ${trip.port}): ${trip.records} records, not ${expected}`,
      )
    }
    for (const [from, visits] of this.#evidence.visits) {
      if (from === UNSEEN) continue
      for (const { record, bytesRead, at } of visits) {
        if (record !== undefined || bytesRead === 0) continue
        const when = new Date(at).toISOString()
        this.#complain(`the origin read ${bytesRead} bytes from ${from} (${when}), which no record tells of`)
      }
    }
    return {
      records: this.#records,
      judged: this.#judged,
      compared: this.#compared,
      exact: this.#exact,
      closeReasons: this.#closeReasons,
      errors: this.#errors,
      wrong: this.#wrong,
      wrongCount: this.#wrongCount,
    }
  }

  /** The origin saw this very address and port, once, and the bytes are those it read and wrote. */
  #compareWithOrigin(record: SessionRecord, bind: string, startedAt: number): string | undefined {
    const endedAt = Date.parse(record.SessionEndTime)
    const visit = (this.#evidence.visits.get(`${bind} to ${record.Lab.dial}`) ?? []).find(
      ({ at, record: claimed }) =>
        claimed === undefined && at >= startedAt - CLOCK_SLACK_MS && at <= endedAt + CLOCK_SLACK_MS,
    )
    if (visit === undefined && record.Lab.error?.code === 'relay.client_reset' && this.#unseen > 0) {
      this.#unseen--
      return undefined
    }
    if (visit === undefined) return `it was bound to ${bind}, from where the origin saw nobody then`
    visit.record = record.SessionID
    this.#compared++
    if (!TUNNELS.includes(record.Lab.inbound)) return undefined
    const { BytesSent, BytesReceived } = record
    const told = `${BytesSent} bytes to the origin and ${BytesReceived} from it`
    const seen = `the origin read ${visit.bytesRead} and wrote ${visit.bytesWritten}`
    if (record.Lab.error === undefined && visit.isClean) {
      this.#exact++
      return BytesSent === visit.bytesRead && BytesReceived === visit.bytesWritten ? undefined : `${told}, but ${seen}`
    }
    return BytesSent >= visit.bytesRead && BytesReceived <= visit.bytesWritten ? undefined : `${told}, but ${seen}`
  }

  #complain(text: string): void {
    this.#wrongCount++
    if (this.#wrong.length < SHOWN) this.#wrong.push(text)
  }
}

function count(table: Record<string, number>, key: string): void {
  table[key] = (table[key] ?? 0) + 1
}

function wrongCode({ Lab: { error } }: SessionRecord, { codes }: Trip): string | undefined {
  if (error === undefined) return undefined
  const isRight = codes === undefined ? !NEVER.includes(error.code) : codes.includes(error.code)
  return isRight ? undefined : `failed with ${error.code} (${error.message})`
}

function wrongAddress({ Email, EgressIP, Lab }: SessionRecord, situation: Situation | undefined): string | undefined {
  if (situation === undefined) return `nobody knows policy revision ${Lab.policyRevision}`
  const host = Lab.target.replace(/:\d+$/, '')
  const right = rightAddresses(Email, Lab.virtualNetworkName, host, situation)
  const who = `${Email} on ${Lab.virtualNetworkName} to ${Lab.target}`
  if (!right.includes(EgressIP)) return `${who} left from ${EgressIP}, not from ${right.join(' or ')}`
  const octet = EgressIP.split('.').at(-1)
  if (Lab.bind !== undefined && !new RegExp(String.raw`\.10\.${octet}:\d+$`).test(Lab.bind)) {
    return `${who} left from ${EgressIP}, but the socket was bound to ${Lab.bind}`
  }
  return undefined
}
