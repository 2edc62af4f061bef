// This package as it is installed, or the checkout: where it is, and its version. Nothing is ever written there.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

let folder: string | undefined

/** The folder of package.json, absolute; modules are at one depth below it in a checkout, and at another once they are built. */
export function ownFolder(): string {
  folder ??= nearest(import.meta.dirname)
  return folder
}

function nearest(from: string): string {
  return existsSync(join(from, 'package.json')) ? from : nearest(dirname(from))
}

/** `version` of package.json, such as `0.1.0`. */
export function ownVersion(): string {
  return (JSON.parse(readFileSync(join(ownFolder(), 'package.json'), 'utf8')) as { version: string }).version
}

/** The configuration that is built in. */
export function shippedConfig(): string {
  return join(ownFolder(), 'config', 'lab.yaml')
}

/** How people start a lab: in a checkout, or where the package is installed. */
export function startCommand(): string {
  return existsSync(join(ownFolder(), 'src', 'main.ts')) ? 'npm start' : 'npx egresslab start'
}

/** Negative: `a` is the older version. For versions such as `0.1.0`, of which later numbers may be left out; what follows a
 *  hyphen is not looked at. */
export function compareVersions(a: string, b: string): number {
  const [of, to] = [a, b].map((version) =>
    version
      .replace(/[-+].*$/, '')
      .split('.')
      .map(Number),
  )
  for (let at = 0; at < 3; at++) {
    const difference = (of?.[at] ?? 0) - (to?.[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
