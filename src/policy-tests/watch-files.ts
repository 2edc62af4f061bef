// Says when files have changed, however an editor saves them. Looks at folders, so that files put in the place of others
// and new ones are seen too.

import { type FSWatcher, statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { TEST_FILE_NAME } from './find-test-files.ts'

/** Saving comes in bursts (write, rename, touch). */
const QUIET_MS = 60

export interface FileWatch {
  /** Watches further files, and folders for test files in them; what is watched already stays so. */
  add(paths: readonly string[]): void
  /** Resolves once something has changed since the last answer and been quiet for a moment. */
  change(): Promise<void>
  close(): void
}

/** A watch over nothing yet. */
export function createFileWatch(): FileWatch {
  const watchers = new Map<string, FSWatcher | undefined>()
  let changed = Promise.withResolvers<void>()
  let timer: NodeJS.Timeout | undefined
  const settle = () => {
    clearTimeout(timer)
    timer = setTimeout(() => changed.resolve(), QUIET_MS)
  }
  return {
    add(paths) {
      for (const path of paths) if (!watchers.has(path)) watchers.set(path, watcherOf(path, settle))
    },
    async change() {
      await changed.promise
      changed = Promise.withResolvers()
    },
    close() {
      clearTimeout(timer)
      for (const watcher of watchers.values()) watcher?.close()
    },
  }
}

/** Undefined where the folder cannot be watched: it does not exist, or the system has no watches left. */
function watcherOf(path: string, onChange: () => void): FSWatcher | undefined {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  const [folder, name] = isFolder ? [path, TEST_FILE_NAME] : [dirname(path), basename(path)]
  try {
    const watcher = watch(folder, { recursive: isFolder }, (_event, file) => {
      if (file === null || (typeof name === 'string' ? file === name : name.test(file))) onChange()
    })
    return watcher.on('error', () => {})
  } catch {
    return undefined
  }
}
