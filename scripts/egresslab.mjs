#!/usr/bin/env node
// The command `egresslab`. In a checkout it sets up what is missing, then hands every argument to src/main.ts; installed as a
// package it runs what was built into dist/. Runs on Node 20, so it is plain JavaScript without dependencies.

import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { join } from 'node:path'
import { stopWithNpm } from './stop-with-npm.mjs'

const OLDEST_NODE = 24

const args = process.argv.slice(2)
if (!hasWorkingDirectory()) {
  process.stderr.write('egresslab: the working directory was removed; change to one that exists\n')
  process.exitCode = 2
} else if (existsSync(new URL('./bootstrap.mjs', import.meta.url))) {
  const { run } = await import('./bootstrap.mjs')
  await run('src/main.ts', args)
} else if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  process.stderr.write(`egresslab: this is Node ${process.versions.node}; install Node ${OLDEST_NODE} or later\n`)
  process.exitCode = 2
} else {
  stopWithNpm(process.pid)
  keepCompiled()
  await import('../dist/main.js')
}

/** Every relative path, the state's too, begins there. */
function hasWorkingDirectory() {
  try {
    process.cwd()
    return true
  } catch {
    return false
  }
}

/** Compiled code is kept in the state folder, which makes the next start faster; only `start` makes the folder for it. */
function keepCompiled() {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return
  const state = stateFolder()
  const folder = join(state, 'compiled')
  try {
    const isStart = args[0] === 'start' && !args.some((arg) => ['--ephemeral', '--help', '-h'].includes(arg))
    if (isStart && !existsSync(folder)) {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      writeFileSync(join(folder, 'made-here'), identityOf(folder), { mode: 0o600 })
    }
    if (wasMadeHere(folder)) nodeModule.enableCompileCache(folder)
  } catch {
    // a folder that cannot be written, or is not there: everything works, only slower
  }
}

/** What is in the folder is run as it is. One that came along with somebody's files, from an archive or a repository, has
 *  another inode and another hour of birth than the one that was made by this command. */
function wasMadeHere(folder) {
  const { uid, mode, birthtimeNs } = statSync(folder, { bigint: true })
  const isOwn = process.getuid === undefined || Number(uid) === process.getuid()
  const isPrivate = process.platform === 'win32' || (Number(mode) & 0o022) === 0
  return (
    isOwn && isPrivate && birthtimeNs > 0n && readFileSync(join(folder, 'made-here'), 'utf8') === identityOf(folder)
  )
}

function identityOf(folder) {
  const { dev, ino, birthtimeNs } = statSync(folder, { bigint: true })
  return `${dev}:${ino}:${birthtimeNs}\n`
}

function stateFolder() {
  const at = args.findIndex((arg) => arg === '--state' || arg.startsWith('--state='))
  if (at < 0) return '.egresslab'
  return args[at] === '--state' ? (args[at + 1] ?? '.egresslab') : args[at].slice('--state='.length)
}
