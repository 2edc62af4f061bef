// Traffic as a stream for eyes: what opened and finished since the last beat, a few times a second, at most as much as a
// page can show. A lab under load costs its watchers no more than a quiet one; what is left out is counted.

import type { OpenSession, RecentSession } from '../../proxy/live-sessions.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import { type ApiResponse, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { type Load, NOW, TRAFFIC_EVENTS, type TrafficBeat } from '../shapes/session-shapes.ts'
import { rowOfFinished, rowOfOpen, rowOfOthers } from './session-row.ts'

const PATH = '/lab/v1/traffic'
const BEAT_MS = 200
const BEATS_PER_LOAD = 5
/** Per beat, openings and finishes each. */
const MOST_ROWS = 120
/** Finished sessions a page begins with. */
const MOST_FINISHED = 5000

export const TRAFFIC_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'event stream (SSE): `beat` with the sessions that opened and finished, sampled under load',
    access: 'token',
    answers: { kind: 'events', events: TRAFFIC_EVENTS },
    looksAtTraffic: true,
    handle: stream,
  },
  {
    method: 'GET',
    path: `${PATH}/now`,
    summary: 'open and recently finished sessions, one short row each',
    access: 'token',
    answers: { kind: 'result', schema: NOW },
    looksAtTraffic: true,
    handle: now,
  },
]

async function now({ ports }: RouteCall): Promise<ApiResponse> {
  const { fleet } = ports
  const member = memberIn(ports)
  const elsewhere = (await fleet?.recentSessions()) ?? []
  const time = ports.plane.now()
  const open = ports.diagnostics.open().map((session) => rowOfOpen(session, time, member))
  const finished = [
    ...ports.diagnostics.finished().slice(-MOST_FINISHED).map(rowOfFinished),
    ...elsewhere.map(rowOfOthers),
  ]
  return ok({ time, open, finished, load: loadOf(ports.diagnostics.open()) })
}

type Send = (event: string, data: unknown) => boolean

/** What one subscriber has been sent, and what waits for the next beat. */
interface Watcher {
  opened: OpenSession[]
  finished: RecentSession[]
  /** at other members of the fleet */
  elsewhere: SessionRecord[]
  skipped: number
  readonly shown: Set<string>
  /** beats since the load was told, and whether it has changed since */
  sinceLoad: number
  owesLoad: boolean
}

function stream({ ports }: RouteCall): ApiResponse {
  return {
    kind: 'stream',
    start: (send) => {
      const watcher: Watcher = {
        opened: [],
        finished: [],
        elsewhere: [],
        skipped: 0,
        shown: new Set(),
        sinceLoad: 0,
        owesLoad: true,
      }
      for (const { session } of ports.diagnostics.open()) watcher.shown.add(session.id)
      const stops = [
        ports.diagnostics.onOpen((session) => noteOpen(watcher, session)),
        ports.diagnostics.onFinish((session) => noteFinish(watcher, session)),
        ports.plane.subscribe((_snapshot, { revision, touched }) => void send('change', { revision, touched })),
      ]
      send('hello', { revision: ports.plane.current().revision, time: ports.plane.now() })
      stops.push(...followFleet(ports, watcher, send))
      const beat = setInterval(() => {
        const rows = take(watcher, ports)
        if (rows !== undefined) send('beat', rows)
        if (rows !== undefined || watcher.owesLoad) tellLoad(watcher, send, ports)
      }, BEAT_MS)
      beat.unref()
      return () => {
        clearInterval(beat)
        for (const stop of stops) stop()
      }
    },
  }
}

/** The fleet, as it is now and every second, and what finishes at its other members. Answers the ways to stop. */
function followFleet({ fleet }: RouteCall['ports'], watcher: Watcher, send: Send): (() => void)[] {
  if (fleet === undefined) return []
  const { member } = fleet.status()
  const tell = () => void send('fleet', fleet.status())
  tell()
  const timer = setInterval(tell, BEAT_MS * BEATS_PER_LOAD)
  timer.unref()
  const stop = fleet.followSessions((record) => {
    if (record.Lab.fleet?.member === member) return
    if (watcher.elsewhere.length < MOST_ROWS) watcher.elsewhere.push(record)
    else watcher.skipped++
  })
  return [() => clearInterval(timer), stop]
}

function memberIn({ fleet }: RouteCall['ports']): string {
  return fleet?.status().member ?? ''
}

function noteOpen(watcher: Watcher, session: OpenSession): void {
  if (watcher.opened.length >= MOST_ROWS) {
    watcher.skipped++
    return
  }
  watcher.opened.push(session)
  watcher.shown.add(session.session.id)
}

/** The end of a session that was shown is always told; another only while there is room. */
function noteFinish(watcher: Watcher, session: RecentSession): void {
  const wasShown = watcher.shown.delete(session.record.SessionID)
  if (wasShown || watcher.finished.length < MOST_ROWS) watcher.finished.push(session)
  else watcher.skipped++
}

/** What waits, and a fresh start; undefined when nothing does. A session that opened and finished in one beat is told once. */
function take(watcher: Watcher, ports: RouteCall['ports']): TrafficBeat | undefined {
  const { opened, finished, elsewhere, skipped } = watcher
  if (opened.length + finished.length + elsewhere.length + skipped === 0) return undefined
  const time = ports.plane.now()
  const member = memberIn(ports)
  const over = new Set(finished.map(({ record }) => record.SessionID))
  watcher.opened = []
  watcher.finished = []
  watcher.elsewhere = []
  watcher.skipped = 0
  return {
    time,
    opened: opened.filter(({ session }) => !over.has(session.id)).map((session) => rowOfOpen(session, time, member)),
    finished: [...finished.map(rowOfFinished), ...elsewhere.map(rowOfOthers)],
    skipped,
  }
}

/** Counting costs a walk over every open session: once a second is enough. */
function tellLoad(watcher: Watcher, send: Send, ports: RouteCall['ports']): void {
  watcher.owesLoad = true
  watcher.sinceLoad++
  if (watcher.sinceLoad < BEATS_PER_LOAD) return
  watcher.sinceLoad = 0
  watcher.owesLoad = false
  const tell = () => void send('load', loadOf(ports.diagnostics.open()))
  if (ports.traffic === undefined) tell()
  else void ports.traffic.refresh().then(tell)
}

/** Open sessions, each of which holds one port of its egress address. */
function loadOf(open: readonly OpenSession[]): Load {
  const byColo: Record<string, number> = {}
  for (const { decided } of open) {
    const colo = decided?.decision.egress?.dedicated?.colo ?? decided?.decision.physicalColo?.code
    if (colo !== undefined) byColo[colo] = (byColo[colo] ?? 0) + 1
  }
  return { open: open.length, by_colo: byColo }
}
