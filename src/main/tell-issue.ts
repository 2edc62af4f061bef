// What parts of the running lab have to tell people, in the lab's own log: what went wrong as an error, what could as a warning.

import type { Issue } from '../errors/issue.ts'
import type { EventLog } from '../log/event-log.ts'

/** One line, with what to do about it. */
export function tellIssue(events: EventLog, { severity, message, hint }: Issue): void {
  const text = hint === undefined ? message : `${message}; ${hint}`
  if (severity === 'error') events.error(text)
  else if (severity === 'warning') events.warn(text)
  else events.info(text)
}
