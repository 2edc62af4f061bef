// Builds the console when its sources are not the ones it was built from. Takes a second, once; afterwards a few
// milliseconds of looking. Plain JavaScript without dependencies, as it runs before anything is known to work.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = join(root, 'console')
const stamp = join(folder, 'dist', '.stamp')

/** `node`: a Node that is new enough. `onBuild` hears that there is something to build. Answers what went wrong, or undefined. */
export function buildConsole(node, onBuild = () => {}) {
  const wanted = fingerprint()
  if (readIfThere(stamp) === wanted) return undefined
  onBuild()
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const result = spawnSync(node, [vite, 'build', '--config', join(folder, 'vite.config.ts')], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE_ENV: 'production' },
  })
  if (result.status !== 0) return `${result.error?.message ?? ''}${result.stdout}${result.stderr}`.trim()
  writeFileSync(stamp, wanted)
  return undefined
}

/** Of everything the built pages are made from: the sources and the locked versions of what they use. */
function fingerprint() {
  const hash = createHash('sha256')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith(join(folder, 'dist')))
    .sort()
  for (const path of [...files, join(root, 'package-lock.json')]) {
    hash.update(path.slice(root.length)).update('\0').update(readFileSync(path)).update('\0')
  }
  return hash.digest('hex')
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = buildConsole(process.execPath)
  if (problem !== undefined) {
    process.stderr.write(`${problem}\n`)
    process.exitCode = 1
  }
}
