// House rules a machine can read off the files: budgets, opening comments, names, nothing left unfinished, nothing that
// belongs to one machine.

import { spawnSync } from 'node:child_process'
import { homedir } from 'node:os'
import { ROOT } from './source-files.ts'

const MOST_LINES = 400
const FORBIDDEN_NAMES = /(^|\/)(utils?|helpers?|common|misc|types)(\.ts$|\/)/

/** One sentence per broken rule. */
export function fileViolations(files: ReadonlyMap<string, string>): string[] {
  const code = [...files].filter(([path]) => /^(src|test|bench|scripts|console)\/.*\.(tsx?|mjs)$/.test(path))
  return [
    ...code.flatMap(([path, text]) => codeViolations(path, text)),
    ...[...files].flatMap(([path, text]) => machineViolations(path, text)),
    ...lockViolations(files),
  ]
}

/** What must not stand in which code. */
const FORBIDDEN: readonly (readonly [where: RegExp, what: RegExp, complaint: string])[] = [
  [/^src\//, /\bconsole\.\w/, 'writes to the console; use the streams it was given'],
  [/^(src|console)\/(?!.*\.config\.ts$)/, /@ts-(ignore|nocheck|expect-error)|biome-ignore/, 'silences a check'],
  [/^(?!scripts\/check-files\.ts)/, /\b(TODO|FIXME|HACK)\b/, 'leaves something unfinished'],
  [/^/, /\b(it|test|describe)\.(only|todo)\(/, 'leaves tests out'],
  [/^/, /\*\/\s*\n\s*\/\*\*/, 'stacks two doc comments; the first belongs to nothing'],
]

function codeViolations(path: string, text: string): string[] {
  const lines = text.split('\n').length - 1
  const isOpened = !/^(src|console)\//.test(path) || /^(#!.*\n)?\/\/ \S/.test(text)
  const found = [
    ...(lines > MOST_LINES && !path.includes('/generated/') ? [`${lines} lines; ${MOST_LINES} is the most`] : []),
    ...(FORBIDDEN_NAMES.test(path) ? ['a name that says nothing; name what is in it'] : []),
    ...(isOpened ? [] : ['does not open by saying what it is for']),
    ...FORBIDDEN.filter(([where, what]) => where.test(path) && what.test(text)).map(([, , complaint]) => complaint),
  ]
  return found.map((what) => `${path}: ${what}`)
}

/** Places and hosts that mean something on one machine only. */
function machineViolations(path: string, text: string): string[] {
  const names = [`${ROOT}/`, registryHost(), homedir() === '/root' ? undefined : homedir()]
  return names.flatMap((name) => (name !== undefined && text.includes(name) ? [`${path}: names \`${name}\``] : []))
}

interface LockedPackage {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** What makes `npm ci` refuse a lock file, or the file belong to one machine. */
function lockViolations(files: ReadonlyMap<string, string>): string[] {
  const text = files.get('package-lock.json') ?? '{}'
  const packages: Readonly<Record<string, LockedPackage>> = JSON.parse(text).packages ?? {}
  const locked = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')))
  const named = Object.values(packages).flatMap((each) =>
    Object.keys({ ...each.dependencies, ...each.optionalDependencies }),
  )
  const missing = [...new Set(named)].filter((name) => !locked.has(name))
  return [
    ...missing.map((name) => `package-lock.json: has no entry for \`${name}\`, so \`npm ci\` refuses it`),
    ...(text.includes('"resolved"') ? ['package-lock.json: holds download addresses; run npm install again'] : []),
  ]
}

let host: string | undefined
function registryHost(): string {
  host ??= new URL(
    process.env.npm_config_registry ??
      spawnSync('npm', ['config', 'get', 'registry'], {
        encoding: 'utf8',
        shell: process.platform === 'win32',
      }).stdout.trim(),
  ).host
  return host
}
