// What the lab vouches for when it says that it is ready, tried for real: a commit to the state, a write to the session log, a
// connection to every port it listens on, an answer of every thread that carries connections.

import { connect } from 'node:net'
import { counted } from '../errors/counted.ts'
import type { Issue } from '../errors/issue.ts'
import type { SessionLog } from '../log/session-log.ts'
import { formatTarget, reachableHost } from '../net/endpoint.ts'
import type { Store } from '../store/store.ts'
import type { FollowedConfig } from './follow-config.ts'
import type { DataPlaneTraffic } from './thread-data-plane.ts'

export interface ReadinessParts {
  readonly store: Pick<Store, 'whyNotWritable'>
  readonly sessions: Pick<SessionLog, 'whyNotWritable'>
  readonly traffic: Pick<DataPlaneTraffic, 'refresh'>
  /** Is the lab up, and not about to stop? */
  readonly accepting: () => boolean
  /** where it listens, with real ports */
  readonly listening: () => readonly ListeningAt[]
}

interface ListeningAt {
  /** a name or an address */
  readonly host: string
  readonly port: number
}

export interface Readiness {
  /** What does not work, one clause each. Calls within a second share one check. */
  unready(): Promise<readonly string[]>
}

const SHARED_MS = 1_000
/** A busy machine takes its time; one that takes longer is not ready. */
const TIMEOUT_MS = 5_000

/** Checks that the lab works: state and session log can be written, worker threads answer, every listener accepts.
 *  Each has 5 s. */
export function createReadiness(parts: ReadinessParts): Readiness {
  let last: { readonly at: number; readonly found: Promise<readonly string[]> } | undefined
  return {
    unready() {
      const now = performance.now()
      if (last === undefined || now - last.at > SHARED_MS) last = { at: now, found: tryAll(parts) }
      return last.found
    },
  }
}

async function tryAll({ store, sessions, traffic, accepting, listening }: ReadinessParts): Promise<readonly string[]> {
  if (!accepting()) return ['not accepting connections']
  const [log, threads, ...doors] = await Promise.all([
    sessions.whyNotWritable(),
    inTime(traffic.refresh()),
    ...listening().map(tryConnecting),
  ])
  const state = store.whyNotWritable()
  return [
    ...(state === undefined ? [] : [`cannot write the state: ${state}`]),
    ...(log === undefined ? [] : [`cannot write the session log: ${log}`]),
    ...(threads ? [] : ['a worker thread does not answer']),
    ...doors.filter((problem) => problem !== undefined),
  ]
}

async function inTime(task: Promise<void>): Promise<boolean> {
  const late = new Promise<false>((resolve) => setTimeout(resolve, TIMEOUT_MS, false).unref())
  return Promise.race([task.then(() => true), late])
}

/** Connects and hangs up, which a listener takes for a client that changed its mind. */
function tryConnecting({ host, port }: ListeningAt): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const name = formatTarget({ kind: 'name', name: host, port })
  const socket = connect({ host: reachableHost(host), port, timeout: TIMEOUT_MS })
  socket.on('connect', () => {
    socket.destroy()
    resolve(undefined)
  })
  socket.on('timeout', () => {
    socket.destroy()
    resolve(`\`${name}\` does not accept connections: no answer in ${TIMEOUT_MS / 1000} s`)
  })
  socket.on('error', ({ message }) => resolve(`\`${name}\` does not accept connections: ${message}`))
  return promise
}

/** What is not as it should be with configuration, state and session log, one clause each. */
export function troublesOf(followed: FollowedConfig, harm: readonly Issue[], sessions: SessionLog): readonly string[] {
  return [
    ...(followed.stale === undefined ? [] : [`the configuration file is not in force: ${followed.stale}`]),
    ...harm.map(({ message }) => message),
    ...(sessions.dropped === 0
      ? []
      : [`${counted(sessions.dropped, 'line')} of the session log ${sessions.dropped === 1 ? 'was' : 'were'} lost`]),
  ]
}
