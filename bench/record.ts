// `npm run bench -- record`: what the record of a session costs: made, written as JSON and queued for the log, for sessions
// that do not repeat; and what of it is left in memory once it was queued.

import { createSyntheticSubject } from '../src/load-test/bench-decide.ts'
import { createLineQueue } from '../src/log/line-queue.ts'
import { createSessionLog } from '../src/log/session-log.ts'
import { decide } from '../src/policy/decide.ts'
import type { Flow } from '../src/policy/flow.ts'
import { makeSessionRecord } from '../src/proxy/session-record.ts'
import type { Reached } from '../src/proxy/stage-values.ts'
import { inTurns, processorNs, shown } from './processor-time.ts'
import { keepResults, table } from './report.ts'
import { storeWith } from './synthetic-store.ts'

const RULES = 1000
const SESSIONS = 4096
const EACH = 40_000
/** Records kept by the log, as in a lab. */
const REMEMBERED = 1000

export async function benchRecord(tag: string): Promise<void> {
  const subject = createSyntheticSubject(RULES, SESSIONS)
  const { config, store } = storeWith(subject)
  const [listener] = config.listeners
  if (listener === undefined) throw new Error('the shipped configuration has no listener')
  const sessions = subject.flows.map((flow) => reachedBy(flow, store.current(), listener))
  const file = createLineQueue({ write: async () => undefined, onProblem: () => undefined, gatherMs: 20 })
  const log = createSessionLog({
    remember: REMEMBERED,
    file: Object.assign(file, { whyNotWritable: async () => undefined }),
  })
  let length = 0
  const measured = inTurns({
    made: each((at) => {
      length += recordOf(sessions, at).SessionID.length
    }),
    'made and written as JSON': each((at) => {
      length += JSON.stringify(recordOf(sessions, at)).length
    }),
    'made, written and queued': each((at) => log.record(recordOf(sessions, at))),
  })
  await log.close(1000)
  store.close()
  if (length === 0) throw new Error('no record was written')
  const rows = Object.entries(measured).map(([what, ns]) => [what, shown({ ...inMicroseconds(ns) }, 2)])
  process.stdout.write(table(["a session's record", 'processor µs'], rows))
  await keepResults(tag, 'record', measured)
}

function inMicroseconds({ median, least, most }: { median: number; least: number; most: number }) {
  return { median: median / 1000, least: least / 1000, most: most / 1000 }
}

function each(act: (at: number) => void): () => number {
  let from = 0
  return () => {
    const spent = processorNs(() => {
      for (let at = from; at < from + EACH; at++) act(at)
    })
    from += EACH
    return spent / EACH
  }
}

function recordOf(sessions: readonly Reached[], at: number) {
  const reached = sessions[at % SESSIONS]
  if (reached === undefined) throw new RangeError('no sessions to record')
  return makeSessionRecord(reached, {
    id: `0199d1f0-0000-7000-8000-${at.toString(16).padStart(12, '0')}`,
    end: { reason: 'CLIENT_CLOSED', bytesReceived: at, bytesSent: 312 },
    endedAt: 1_790_000_000_000 + at,
    endedTick: at,
    requests: 1,
    exchanges: [],
  })
}

/** A tunnel that was decided, dialled and closed. */
function reachedBy(flow: Flow, snapshot: Reached['snapshot'], listener: Reached['client']['listener']): Reached {
  const decision = decide(snapshot, flow)
  const { host = '', destination, source, identity, virtualNetworkId } = flow
  const candidate = { destination, dial: destination, proxiedByCloudflare: false }
  const local = { ip: source.ip, port: 20_001 }
  return {
    client: { protocol: 'http-connect', transport: 'tcp', listener, peer: source, acceptedAt: 1_790_000_000_000 },
    target: { kind: 'name', name: host, port: destination.port },
    snapshot,
    receivedTick: 0,
    context: { ...(identity === undefined ? {} : { identity }), virtualNetworkId, source },
    attempts: [{ flow, candidate, decision }],
    ruleEvaluationMs: 0.004,
    upstream: {
      channel: { bytesRead: 0, bytesWritten: 0, isClosed: true, destroy: () => undefined, reset: () => undefined },
      attempt: { flow, candidate, decision },
      local,
      publicEndpoint: { ip: decision.egress?.address ?? source.ip, port: local.port },
    },
  }
}
