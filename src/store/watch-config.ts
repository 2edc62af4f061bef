// Watches the files of the configuration and says when their content is new, however the editor saves them: in place, by
// rename, behind a symlink (CF-07). Knows nothing of what is inside.

import { createHash } from 'node:crypto'
import { type FSWatcher, readFileSync, realpathSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'

export interface ConfigWatch {
  /** Looks now instead of waiting for the file system to say something (SIGHUP). */
  check(): void
  close(): void
}

/** Calls `onChange` when the content differs from what it was. `filesNow` is asked anew after every event, as one file may
 *  name another. `quietMs`: how long the files must be left alone first. */
export function watchConfig(filesNow: () => readonly string[], onChange: () => void, quietMs = 50): ConfigWatch {
  let seen = contentHash(filesNow())
  let pending: NodeJS.Timeout | undefined
  let watchers: FSWatcher[] = []
  const look = () => {
    pending = undefined
    const found = contentHash(filesNow())
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
    watchers = [...foldersOf(filesNow())].flatMap((folder) => {
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

function foldersOf(files: readonly string[]): ReadonlySet<string> {
  const folders = new Set(files.map((file) => dirname(file)))
  for (const file of files) {
    try {
      folders.add(dirname(realpathSync(file)))
      folders.add(realpathSync(dirname(file)))
    } catch {
      // between a delete and a rename the file is not there; its folder still is
    }
  }
  return folders
}

/** Undefined while one of the files cannot be read: half a save is no content. */
function contentHash(files: readonly string[]): string | undefined {
  try {
    const hash = createHash('sha256')
    for (const file of files)
      hash
        .update(`${basename(file)}\n`)
        .update(readFileSync(file))
        .update('\n')
    return hash.digest('hex')
  } catch {
    return undefined
  }
}
