// The stream of traffic: keeps itself connected, says in which state it is, and feeds the session store. On every new
// connection the page begins with what the lab knows now, so nothing missed in between stays wrong.

import { signal } from '@preact/signals'
import { ask, signedIn } from '../api/request.ts'
import type { Beat, Fleet, Load, Now, Row } from '../api/shapes.ts'
import { urlOf } from '../base.ts'
import { merge, reset } from './session-store.ts'

export type Connection = 'connecting' | 'live' | 'lost'

export const connection = signal<Connection>('connecting')
/** When the stream was last heard, epoch ms of this machine. */
export const lastHeard = signal(0)
export const load = signal<Load>({ open: 0, by_colo: {} })
/** The fleet as this member sees it, every second; undefined: the lab is alone. */
export const fleet = signal<Fleet | undefined>(undefined)
/** Grows when something about the lab itself changed: rules, data centers, choices, the clock. */
export const changes = signal(0)
/** Lab time minus this machine's, ms. */
export const clockOffset = signal(0)
/** Sessions that opened or finished per second, about. */
export const rate = signal(0)

const RETRY_MS = 1500
const listeners = new Set<(opened: readonly Row[], finished: readonly Row[]) => void>()
let source: EventSource | undefined
let retry: ReturnType<typeof setTimeout> | undefined

/** Tells every beat; the answer stops it. */
export function onBeat(listener: (opened: readonly Row[], finished: readonly Row[]) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Connects, and again whenever the connection breaks. */
export function follow(): void {
  close()
  const waiting: Beat[] = []
  let ready = false
  const stream = new EventSource(urlOf('/lab/v1/traffic'))
  source = stream

  stream.addEventListener('hello', () => {
    fleet.value = undefined
    void begin().then(
      () => {
        if (source !== stream) return
        ready = true
        for (const beat of waiting.splice(0)) take(beat)
        connection.value = 'live'
        changes.value++
      },
      () => again(),
    )
  })
  stream.addEventListener('beat', (event) => {
    const beat = JSON.parse(event.data) as Beat
    if (ready) take(beat)
    else waiting.push(beat)
  })
  stream.addEventListener('load', (event) => {
    load.value = JSON.parse(event.data) as Load
  })
  stream.addEventListener('fleet', (event) => {
    fleet.value = JSON.parse(event.data) as Fleet
  })
  stream.addEventListener('change', () => {
    changes.value++
  })
  stream.onerror = () => {
    if (source === stream) again()
  }
}

export function close(): void {
  clearTimeout(retry)
  source?.close()
  source = undefined
}

async function begin(): Promise<void> {
  const now = await ask<Now>('GET', '/lab/v1/traffic/now')
  reset(now.finished, now.open)
  load.value = now.load
  heard(now.time)
}

function take(beat: Beat): void {
  merge(beat.opened, beat.finished, beat.skipped)
  count(beat)
  heard(beat.time)
  for (const listener of listeners) listener(beat.opened, beat.finished)
}

function heard(labTime: number): void {
  lastHeard.value = Date.now()
  const offset = labTime - Date.now()
  if (Math.abs(offset - clockOffset.value) > 500) clockOffset.value = offset
}

const recent: { readonly at: number; readonly sessions: number }[] = []

function count(beat: Beat): void {
  recent.push({ at: performance.now(), sessions: beat.finished.length + beat.skipped / 2 })
  countDown()
}

function countDown(): void {
  const since = performance.now() - 3000
  while (recent[0] !== undefined && recent[0].at < since) recent.shift()
  rate.value = Math.round((recent.reduce((sum, { sessions }) => sum + sessions, 0) / 3) * 10) / 10
}
setInterval(countDown, 1000)

/** The cause may be that we are signed out: asking something ordinary finds that out, and then there is no use in asking on. */
function again(): void {
  close()
  connection.value = 'lost'
  retry = setTimeout(() => {
    void ask('GET', '/lab/v1/clock').then(follow, () => {
      if (signedIn.value !== false) again()
    })
  }, RETRY_MS)
}
