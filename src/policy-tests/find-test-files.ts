// From the paths on a command line to files of policy tests: a file is taken as it is, a folder is searched.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { InputError, type Issue } from '../errors/issue.ts'

/** What a folder is searched for. */
export const TEST_FILE_NAME = /\.test\.ya?ml$/

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
