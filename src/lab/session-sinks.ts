// Where the records of sessions go: the file, standard output, the destinations of Logpush, and OpenTelemetry.

import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LabConfig } from '../config/lab-config.ts'
import { ownVersion } from '../config/own-package.ts'
import type { EventLog } from '../log/event-log.ts'
import { createLogpush, type Logpush } from '../log/logpush.ts'
import type { Otlp } from '../log/otlp.ts'
import { openRuleUses, type RuleUses } from '../log/rule-uses.ts'
import { openSessionFile } from '../log/session-file.ts'
import { createSessionLog, openStandardOutput, type SessionLog } from '../log/session-log.ts'
import type { Store } from '../store/store.ts'
import type { StartOptions } from './start-lab.ts'

/** Jobs that push sessions, as the state has them. What waits lives in the state folder, or goes with the lab. */
export function openLogpush(
  { account }: LabConfig,
  { state, ephemeral }: StartOptions,
  { store, events }: { readonly store: Store; readonly events: EventLog },
): Logpush {
  const folder = ephemeral ? mkdtempSync(join(tmpdir(), 'egresslab-logpush-')) : join(state, 'logpush')
  const logpush = createLogpush({
    accountId: account.id,
    folder,
    roots: [process.cwd(), state],
    userAgent: `egresslab/${ownVersion()}`,
    onProblem: (message) => events.warn(message),
  })
  const follow = () => {
    const jobs = [...store.current().state.logpushJob.values()]
    logpush.follow(jobs.filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value))
  }
  follow()
  store.subscribe((_snapshot, { touched }) => {
    if (touched.some(({ kind }) => kind === 'logpushJob')) follow()
  })
  return {
    ...logpush,
    get isWanted() {
      return logpush.isWanted
    },
    async close(deadlineMs) {
      await logpush.close(deadlineMs)
      if (ephemeral) await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The session log of a state folder. */
export function sessionsFile(state: string): string {
  return join(state, 'sessions.ndjson')
}

/** Opens the sinks; `--ephemeral` writes no file. */
export async function openSessionLog(
  { log }: LabConfig,
  { state, ephemeral, sessionsTo }: StartOptions,
  events: EventLog,
  logpush?: Logpush,
): Promise<SessionLog> {
  const path = sessionsFile(state)
  const onProblem = (error: unknown) => events.error(`cannot write the session log \`${path}\``, error)
  const onGone = () => events.warn('standard output is closed; sessions are no longer written to it')
  return createSessionLog({
    ...(logpush === undefined ? {} : { logpush }),
    ...(ephemeral ? {} : { file: openSessionFile({ path, ...log, onProblem }) }),
    ...(sessionsTo === undefined ? {} : { output: { ...sessionsTo, queue: await openStandardOutput(onGone) } }),
  })
}

/** Counts what each rule decides, from what the log of earlier runs says on. */
export async function countRuleUses(
  { log }: LabConfig,
  { state, ephemeral }: StartOptions,
  { store, events, sessions }: { readonly store: Store; readonly events: EventLog; readonly sessions: SessionLog },
): Promise<RuleUses> {
  const path = sessionsFile(state)
  const rotated = Array.from({ length: log.keep }, (_, index) => `${path}.${index + 1}`)
  const uses = await openRuleUses({
    files: ephemeral ? [] : [path, ...rotated],
    now: store.now(),
    onNotice: (message) => events.warn(message),
  })
  sessions.subscribe((record) => uses.add(record))
  return uses
}

/** OpenTelemetry as configured, and the lab's log, which it hears from then on. Its library is loaded only where it is wanted. */
export async function openOtlp(
  { otlp: settings }: LabConfig,
  events: EventLog,
): Promise<{ readonly events: EventLog; readonly otlp?: Otlp }> {
  if (settings === undefined) return { events }
  const { startOtlp } = await import('../log/otlp.ts')
  const otlp = startOtlp(settings, { version: ownVersion(), onProblem: (message) => events.warn(message) })
  const heard: EventLog = {
    info(message, details = {}) {
      events.info(message, details)
      otlp.event('info', message, details)
    },
    warn(message, details = {}) {
      events.warn(message, details)
      otlp.event('warn', message, details)
    },
    error(message, error, details = {}) {
      events.error(message, error, details)
      otlp.event('error', message, details, error)
    },
  }
  return { events: heard, otlp }
}
