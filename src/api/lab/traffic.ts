// Traffic as a stream for eyes: what opened and finished since the last beat, a few times a second, at most as much as a
// page can show. A lab under load costs its watchers no more than a quiet one; what is left out is counted.

import type { OpenSession, RecentSession } from '../../proxy/live-sessions.ts'
import { type ApiResponse, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { type Load, NOW, TRAFFIC_EVENTS, type TrafficBeat } from '../shapes/session-shapes.ts'
import { rowOfFinished, rowOfOpen } from './session-row.ts'

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

function now({ ports }: RouteCall): ApiResponse {
  const time = ports.plane.now()
  const open = ports.diagnostics.open().map((session) => rowOfOpen(session, time))
  const finished = ports.diagnostics.finished().slice(-MOST_FINISHED).map(rowOfFinished)
  return ok({ time, open, finished, load: loadOf(ports.diagnostics.open()) })
}

/** What one subscriber has been sent, and what waits for the next beat. */
interface Watcher {
  opened: OpenSession[]
  finished: RecentSession[]
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
      const watcher: Watcher = { opened: [], finished: [], skipped: 0, shown: new Set(), sinceLoad: 0, owesLoad: true }
      for (const { session } of ports.diagnostics.open()) watcher.shown.add(session.id)
      const stops = [
        ports.diagnostics.onOpen((session) => noteOpen(watcher, session)),
        ports.diagnostics.onFinish((session) => noteFinish(watcher, session)),
        ports.plane.subscribe((_snapshot, { revision, touched }) => void send('change', { revision, touched })),
      ]
      send('hello', { revision: ports.plane.current().revision, time: ports.plane.now() })
      const beat = setInterval(() => {
        const rows = take(watcher, ports.plane.now())
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
function take(watcher: Watcher, time: number): TrafficBeat | undefined {
  const { opened, finished, skipped } = watcher
  if (opened.length === 0 && finished.length === 0 && skipped === 0) return undefined
  const over = new Set(finished.map(({ record }) => record.SessionID))
  watcher.opened = []
  watcher.finished = []
  watcher.skipped = 0
  return {
    time,
    opened: opened.filter(({ session }) => !over.has(session.id)).map((session) => rowOfOpen(session, time)),
    finished: finished.map(rowOfFinished),
    skipped,
  }
}

/** Counting costs a walk over every open session: once a second is enough. */
function tellLoad(watcher: Watcher, send: (event: string, data: unknown) => boolean, ports: RouteCall['ports']): void {
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
