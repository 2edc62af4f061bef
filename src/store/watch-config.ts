// Watches the configuration file and says when its content is new, however the editor saves it: in place, by rename,
// behind a symlink (CF-07). Knows nothing of what is inside.

import { createHash } from 'node:crypto'
import { type FSWatcher, readFileSync, realpathSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'

export interface ConfigWatch {
  /** Looks now instead of waiting for the file system to say something (SIGHUP). */
  check(): void
  close(): void
}

/** Calls `onChange` when the content differs from what it was. `quietMs`: how long the file must be left alone first. */
export function watchConfig(file: string, onChange: () => void, quietMs = 50): ConfigWatch {
  let seen = contentHash(file)
  let pending: NodeJS.Timeout | undefined
  let watchers: FSWatcher[] = []
  const look = () => {
    pending = undefined
    const found = contentHash(file)
    if (found === undefined || found === seen) return
    seen = found
    onChange()
  }
  const settle = () => {
    clearTimeout(pending)
    pending = setTimeout(() => {
      rewatch()
      look()
    }, quietMs)
    pending.unref()
  }
  // Directories are watched, not files: a rename puts a new inode under the same name. Behind symlinks the directory of
  // every hop counts, and hops change, so watches are renewed after each event.
  const rewatch = () => {
    for (const watcher of watchers) watcher.close()
    watchers = foldersOf(file).flatMap((folder) => {
      try {
        return [watch(folder, { persistent: false }, settle).on('error', settle)]
      } catch {
        return []
      }
    })
  }
  rewatch()
  return {
    check: look,
    close: () => {
      clearTimeout(pending)
      for (const watcher of watchers) watcher.close()
    },
  }
}

function foldersOf(file: string): string[] {
  const folders = new Set([dirname(file)])
  try {
    folders.add(dirname(realpathSync(file)))
    folders.add(realpathSync(dirname(file)))
  } catch {
    // between a delete and a rename the file is not there; its folder still is
  }
  return [...folders]
}

function contentHash(file: string): string | undefined {
  try {
    return createHash('sha256').update(basename(file)).update(readFileSync(file)).digest('hex')
  } catch {
    return undefined
  }
}
