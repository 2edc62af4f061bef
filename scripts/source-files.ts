// The text files of this checkout that its own checks read. Whatever is installed, generated or made at run time is left out.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '..')

const LEFT_OUT = new Set(['node_modules', '.node', '.git', '.egresslab', 'certs', 'coverage', 'results', 'dist'])
const TEXT = /(\.(tsx?|mjs|json|md|yaml|yml|sh|html|css)|\.npmrc|\.gitignore|\.ci\/run)$/

/** Path from the root (with `/`) → text, for every source, test, script, configuration and document. */
export function sourceFiles(): Map<string, string> {
  const files = new Map<string, string>()
  const visit = (folder: string) => {
    for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
      if (LEFT_OUT.has(entry.name)) continue
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) visit(path)
      else if (TEXT.test(path)) files.set(path, readFileSync(join(ROOT, path), 'utf8'))
    }
  }
  visit('')
  return files
}
