// Load on a proxy and the origin behind it: by the C program of bench/native where there is a compiler, else by the project's own
// generator, which costs more than most proxies and so hides part of what they cost.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { ProxyUnderTest } from '../../src/load-test/proxy/operation.ts'
import { startOriginProcess } from '../../src/load-test/proxy/origin-process.ts'
import { type LoadMode, runLoad } from '../../src/load-test/proxy/run-load.ts'
import { formatEndpoint } from '../../src/net/endpoint.ts'
import { compileLoad } from '../native/compile.ts'

const program = compileLoad()
if (program === undefined) {
  process.stderr.write('no C compiler (`cc`): the load generator is in JavaScript and takes much of the machine\n')
}

export interface LoadRequest {
  readonly mode: LoadMode
  readonly concurrency: number
  readonly seconds: number
  /** operations a second, begun by the clock; latency then counts from when each was due. Absent: as many as the proxy takes */
  readonly rate?: number
}

export interface LoadReport {
  readonly operations: number
  readonly failures: number
  readonly failure?: string
  readonly seconds: number
  /** received, relay only */
  readonly bytes: number
  /** ns */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number }
}

/** Can operations begin at a fixed rate? */
export const hasRates = program !== undefined

export interface Origin {
  readonly port: number
  stop(): Promise<void>
}

/** Starts the origin on 127.0.0.1. */
export async function startOrigin(): Promise<Origin> {
  if (program === undefined) return startOriginProcess('127.0.0.1')
  const child = spawn(program, ['origin', '127.0.0.1', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    return {
      port: Number(line),
      stop: async () => {
        child.kill()
        await exited
      },
    }
  }
  throw new Error('the origin ended before it said its port')
}

/** Runs load for a while. Failures of single operations are counted, not thrown. */
export async function load(subject: ProxyUnderTest, request: LoadRequest): Promise<LoadReport> {
  if (program === undefined) return runLoad(subject, request)
  const { mode, concurrency, seconds, rate } = request
  const { proxy, origin, credentials } = subject
  const args = [
    mode,
    `proxy=${formatEndpoint(proxy)}`,
    `origin=${formatEndpoint(origin)}`,
    `seconds=${seconds}`,
    `concurrency=${concurrency}`,
  ]
  if (rate !== undefined) args.push(`rate=${rate}`)
  if (credentials !== undefined) args.push(`user=${credentials.username}`, `password=${credentials.password}`)
  const { stdout, stderr } = await promisify(execFile)(program, args)
  const { relay, ...report } = { relay: mode === 'relay', ...JSON.parse(stdout) }
  // a relay has no end of its own
  if (relay) report.operations = concurrency
  return stderr === '' ? report : { ...report, failure: stderr.trim() }
}
