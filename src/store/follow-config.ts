// Follows the configuration file while the lab runs: a good new version is taken in, a bad one changes nothing and is said
// aloud until it is mended (CF-01). Reading and applying belong to others.

import { ChangeError } from '../errors/change-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type ConfigWatch, watchConfig } from './watch-config.ts'

export interface FollowOptions<C> {
  readonly file: string
  /** files it refers to and that count as parts of it */
  readonly parts?: () => readonly string[]
  /** Throws InputError with every problem of the file. */
  readonly read: (file: string) => C
  /** Puts it in force, whole or not at all. Throws ChangeError or InputError. */
  readonly apply: (config: C) => void
  /** Told after every attempt; `issues` is empty where it went well. */
  readonly onOutcome: (issues: readonly Issue[]) => void
  /** how long the file must be left alone before it is read (default 50 ms) */
  readonly quietMs?: number
}

export interface ConfigFollower {
  /** one clause while what is in force is older than the file, else undefined */
  trouble(): string | undefined
  /** Looks now (SIGHUP). */
  check(): void
  close(): void
}

/** Starts following. Unexpected errors of `read` and `apply` are problems like any other: a reload never ends the lab. */
export function followConfig<C>(options: FollowOptions<C>): ConfigFollower {
  const { file } = options
  let trouble: string | undefined
  const reload = () => {
    let issues: readonly Issue[] = []
    try {
      options.apply(options.read(file))
    } catch (thrown) {
      issues = issuesOf(thrown, file)
    }
    const first = issues[0]?.message
    trouble = first === undefined ? undefined : `\`${file}\` is not in force, its last good version is: ${first}`
    options.onOutcome(issues)
  }
  const watch: ConfigWatch = watchConfig(() => [file, ...(options.parts?.() ?? [])], reload, options.quietMs)
  return { trouble: () => trouble, check: () => watch.check(), close: () => watch.close() }
}

function issuesOf(thrown: unknown, file: string): readonly Issue[] {
  if (thrown instanceof InputError) return thrown.issues
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const code = thrown instanceof ChangeError ? thrown.code : 'config.reload_failed'
  return [{ severity: 'error', code, message, file }]
}
