// Events of the lab itself (started, certificate created, log file full …), on standard error: plain lines on a
// terminal, pino's JSON elsewhere. Sessions are logged separately.

import { pino } from 'pino'
import type { Issue } from '../errors/issue.ts'
import { printable } from './session-log.ts'

export type EventDetails = Readonly<Record<string, string | number | boolean>>

export interface EventLog {
  info(message: string, details?: EventDetails): void
  warn(message: string, details?: EventDetails): void
  /** `error` is written with its stack to JSON; a terminal gets its message */
  error(message: string, error?: unknown, details?: EventDetails): void
}

export interface EventLogOptions {
  readonly write: (text: string) => void
  readonly form: 'line' | 'ndjson'
}

/** Creates an event log that writes whole lines. Values under common names of secrets are redacted (HH-03,
 *  AP-07). */
export function createEventLog({ write, form }: EventLogOptions): EventLog {
  return form === 'line' ? lineLog(write) : jsonLog(write)
}

function jsonLog(write: (text: string) => void): EventLog {
  const logger = pino(
    { base: { name: 'egresslab' }, redact: ['password', 'token', 'authorization', 'credentials'] },
    { write },
  )
  return {
    info: (message, details) => logger.info(details ?? {}, message),
    warn: (message, details) => logger.warn(details ?? {}, message),
    error: (message, error, details) => logger.error({ ...details, err: error }, message),
  }
}

function lineLog(write: (text: string) => void): EventLog {
  const line = (level: string, message: string) => write(`egresslab: ${level}${printable(message, 1000)}\n`)
  return {
    info: (message) => line('', message),
    warn: (message) => line('warning: ', message),
    error: (message, error) => line('error: ', error instanceof Error ? `${message}: ${error.message}` : message),
  }
}

/** Logs an issue as one line at the level of its severity, with its hint. */
export function tellIssue(events: EventLog, { severity, message, hint }: Issue): void {
  const text = hint === undefined ? message : `${message}; ${hint}`
  if (severity === 'error') events.error(text)
  else if (severity === 'warning') events.warn(text)
  else events.info(text)
}
