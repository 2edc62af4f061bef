// The files of policy tests that the paths on a command line name (a file is taken as it is, a folder is searched), and when
// files have changed, however an editor saves them: folders are watched, so that files put in the place of others and new
// ones are seen too.

import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { InputError, type Issue } from '../errors/issue.ts'

/** What a folder is searched for. */
const TEST_FILE_NAME = /\.test\.ya?ml$/

/** Files in the order of the paths, those of a folder by name. Throws an InputError naming every path that is not there or
 *  leads to no test file. */
export function findTestFiles(paths: readonly string[]): string[] {
  const issues: Issue[] = []
  const files = paths.flatMap((path) => {
    const found = filesAt(path)
    if (found === undefined) issues.push(problem(path, `\`${path}\` does not exist`))
    else if (found.length === 0) {
      issues.push(problem(path, `no policy tests in \`${path}\``, 'test files are named `*.test.yaml`'))
    }
    return found ?? []
  })
  if (issues.length > 0) throw new InputError(issues)
  return [...new Set(files)]
}

function filesAt(path: string): string[] | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return undefined
  if (!found.isDirectory()) return [path]
  const entries = readdirSync(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && TEST_FILE_NAME.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()
}

function problem(file: string, message: string, hint?: string): Issue {
  return { severity: 'error', code: 'test.no_tests', message, file, ...(hint === undefined ? {} : { hint }) }
}

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
