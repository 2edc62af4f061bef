// Where the running lab's sessions go: the file in the state folder, and standard output where asked for.

import { join } from 'node:path'
import type { StartOptions } from '../cli/services.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { EventLog } from '../log/event-log.ts'
import { openSessionFile } from '../log/session-file.ts'
import { createSessionLog, type SessionLog } from '../log/session-log.ts'
import { openStandardOutput } from '../log/standard-output.ts'

/** The session log of a state folder. */
export function sessionsFile(state: string): string {
  return join(state, 'sessions.ndjson')
}

/** Opens the sinks; `--ephemeral` writes no file. */
export async function openSessionLog(
  { log }: LabConfig,
  { state, ephemeral, sessionsTo }: StartOptions,
  events: EventLog,
): Promise<SessionLog> {
  const path = sessionsFile(state)
  const onProblem = (error: unknown) => events.error(`the session log \`${path}\` cannot be written`, error)
  const onGone = () => events.warn('nobody reads standard output any more')
  return createSessionLog({
    ...(ephemeral ? {} : { file: openSessionFile({ path, ...log, onProblem }) }),
    ...(sessionsTo === undefined ? {} : { output: { ...sessionsTo, queue: await openStandardOutput(onGone) } }),
  })
}
