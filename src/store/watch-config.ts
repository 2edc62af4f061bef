// Watches the configuration files and reports new contents however an editor saves them (in place, by rename, behind a
// symlink; CF-07), and when they become unreadable. Does not interpret the contents.

import { createHash } from 'node:crypto'
import { type FSWatcher, realpathSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { readWholeFile } from '../config/files.ts'

export interface ConfigWatch {
  /** Checks now instead of waiting for an event of the file system. */
  check(): void
  close(): void
}

export interface ConfigWatchOptions {
  /** called after every event, since one file may name another */
  readonly filesNow: () => readonly string[]
  /** called when the contents differ from before, become unreadable for some time, or are readable again */
  readonly onChange: () => void
  /** called once per series of failures: the system cannot watch, so files are polled instead */
  readonly onProblem: (message: string) => void
  /** how long the files must be unchanged first (default 50) */
  readonly quietMs?: number
  /** how often unreadable or unwatchable files are checked again (default 500) */
  readonly retryMs?: number
}

/** Contents as a hash, or the reason why there are none. */
type Seen = { readonly hash: string } | { readonly unreadable: string }

/** Follows the files until closed. Never keeps the process alive. */
export function watchConfig(options: ConfigWatchOptions): ConfigWatch {
  return new Watching(options)
}

class Watching implements ConfigWatch {
  readonly #options: Required<ConfigWatchOptions>
  #watchers: readonly FSWatcher[] = []
  #seen: Seen
  #pending: NodeJS.Timeout | undefined
  #doubted = false
  #failing = false
  #closed = false

  constructor(options: ConfigWatchOptions) {
    this.#options = { quietMs: 50, retryMs: 500, ...options }
    this.#seen = contentOf(options.filesNow())
    this.check()
  }

  check(): void {
    clearTimeout(this.#pending)
    const isWatched = this.#watch()
    const isSettled = this.#look()
    if (!isWatched || !isSettled) this.#lookIn(this.#options.retryMs)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#pending)
    for (const watcher of this.#watchers) watcher.close()
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#pending)
    if (this.#closed) return
    this.#pending = setTimeout(() => this.check(), ms)
    this.#pending.unref()
  }

  /** False while the files cannot be read: a partial save is no content, so only lasting unreadability is reported. */
  #look(): boolean {
    const found = contentOf(this.#options.filesNow())
    const isReadable = 'hash' in found
    const isNew = !isSame(found, this.#seen)
    const isCertain = isReadable || this.#doubted
    this.#doubted = !isReadable
    if (isNew && isCertain) {
      this.#seen = found
      this.#options.onChange()
    }
    return isReadable
  }

  /** Watches directories, not files, since a rename puts a new inode under the same name. Behind symlinks the
   *  directory of every hop counts, and hops change, so watches are renewed after each event. */
  #watch(): boolean {
    for (const watcher of this.#watchers) watcher.close()
    const settle = () => this.#lookIn(this.#options.quietMs)
    const watchers: FSWatcher[] = []
    const failures: string[] = []
    for (const folder of foldersOf(this.#options.filesNow())) {
      try {
        watchers.push(watch(folder, { persistent: false }, settle).on('error', settle))
      } catch (thrown) {
        failures.push(`\`${folder}\` cannot be watched for changes: ${reasonOf(thrown)}; it is polled instead`)
      }
    }
    this.#watchers = watchers
    const [first] = failures
    if (first !== undefined && !this.#failing) this.#options.onProblem(first)
    this.#failing = first !== undefined
    return first === undefined
  }
}

function foldersOf(files: readonly string[]): ReadonlySet<string> {
  const folders = new Set(files.map((file) => dirname(file)))
  for (const file of files) {
    try {
      folders.add(dirname(realpathSync(file)))
      folders.add(realpathSync(dirname(file)))
    } catch {
      // between a delete and a rename the file is missing; its directory exists
    }
  }
  return folders
}

function contentOf(files: readonly string[]): Seen {
  try {
    const hash = createHash('sha256')
    for (const file of files) {
      hash
        .update(`${basename(file)}\n`)
        .update(readWholeFile(file))
        .update('\n')
    }
    return { hash: hash.digest('hex') }
  } catch (thrown) {
    return { unreadable: reasonOf(thrown) }
  }
}

function isSame(one: Seen, other: Seen): boolean {
  if ('hash' in one) return 'hash' in other && one.hash === other.hash
  return 'unreadable' in other && one.unreadable === other.unreadable
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
