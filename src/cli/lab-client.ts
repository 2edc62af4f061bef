// The running lab as verbs talk to it: its own API, and where a verb's options say it is. Interfaces only; the composition
// root does the talking.

import type { Command } from 'commander'
import { DEFAULT_STATE, withConfig, withJson } from './verb.ts'

export interface LabClient {
  /** `http://127.0.0.1:8090` */
  readonly url: string
  /** One request; answers the `result` of the envelope. Throws an InputError saying what is wrong: nobody listens, the token is
   *  refused, or the lab's own words. */
  readonly ask: (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<unknown>
  /** Follows an event stream until the lab ends it or `signal` fires. Throws an InputError like `ask`. */
  readonly follow: (path: string, signal: AbortSignal) => AsyncIterable<LabEvent>
}

export interface LabEvent {
  readonly event: string
  readonly data: unknown
}

/** Options that say which lab is meant. */
export interface LabOptions {
  readonly config: string
  readonly state: string
  readonly api?: string
  readonly json?: true
}

/** Adds what every verb on the running lab has. */
export function withLab(command: Command): Command {
  return withJson(withConfig(command))
    .option('--state <dir>', 'state folder of the lab, where its API token is', DEFAULT_STATE)
    .option('--api <host:port>', "where the lab's API is (default: as configured)")
}
