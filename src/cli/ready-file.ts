// `start --ready-file FILE`: tells scripts and test suites where everything is, once all of it listens. The names are fixed.

import { readFileSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { replaceOutput } from '../config/files.ts'
import type { RunningLab } from '../lab/start-lab.ts'
import { reachableHost } from '../net/endpoint.ts'

export interface ReadyFile {
  /** Writes the file as a whole. Throws an InputError. */
  write(lab: RunningLab): void
  remove(): void
}

/** Removes what a lab that is gone has left, so that nobody takes it for this one's. The file that this lab writes is gone when the
 *  process ends, however it does. */
export function announceReady(file: string): ReadyFile {
  const discard = () => rmSync(file, { force: true })
  if (!isAlive(writerOf(file))) discard()
  return {
    write(lab) {
      process.once('exit', discard)
      replaceOutput(file, `${JSON.stringify(readiness(lab))}\n`, 'start.ready_file')
    },
    remove() {
      process.off('exit', discard)
      discard()
    },
  }
}

/** The process that wrote the file; undefined where there is none, or no such file. */
function writerOf(file: string): number | undefined {
  try {
    const { pid }: { readonly pid?: unknown } = JSON.parse(readFileSync(file, 'utf8'))
    return typeof pid === 'number' ? pid : undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Paths are absolute. `token_file`: null where the token was given by EGRESSLAB_API_TOKEN or lives in memory; `sessions_file`: null
 *  where sessions are not kept. */
function readiness({ config, listeners, apiUrl, consoleUrl, dns, apiToken, authorityFile, sessionsFile }: RunningLab) {
  const doors = listeners.map(({ name, host, port }) => ({ name, host: reachableHost(host), port }))
  const [first] = doors
  return {
    proxy: { host: first?.host, port: first?.port },
    listeners: doors,
    api: { url: apiUrl },
    console: { url: `${consoleUrl}/` },
    dns: dns.map(({ ip, port }) => ({ host: ip.text, port })),
    token_file: pathOrNull(apiToken.file),
    ca_file: resolve(authorityFile),
    sessions_file: pathOrNull(sessionsFile),
    config: resolve(config.file),
    pid: process.pid,
  }
}

function pathOrNull(file: string | undefined): string | null {
  return file === undefined ? null : resolve(file)
}
