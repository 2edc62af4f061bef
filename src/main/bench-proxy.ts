// What `bench proxy` measures: this project's own data path on a configuration, in a process of its own, between a load origin
// in another and a load generator here.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Subject } from '../bench/load/operation.ts'
import { processorSeconds, residentBytes } from '../bench/load/processor-time.ts'
import { runLoad } from '../bench/load/run-load.ts'
import type { ProxyBenchRequest, ProxyBenchSummary } from '../cli/services.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { ip } from '../net/ip.ts'
import { readConfig } from './read-config.ts'

const LOOPBACK = ip('127.0.0.1')

/** Throws an InputError where the configuration is not good. */
export async function benchProxyOn(request: ProxyBenchRequest): Promise<ProxyBenchSummary> {
  const { config } = readConfig(request.configFile)
  const credentials = credentialsIn(config)
  const origin = run(join(import.meta.dirname, '../bench/load/origin.ts'), [LOOPBACK.text])
  const proxy = run(join(import.meta.dirname, 'proxy-under-test.ts'), [request.configFile, String(request.workers)])
  try {
    const [originPort, proxyPort] = await Promise.all([firstLine(origin).then(Number), firstLine(proxy).then(portIn)])
    const subject: Subject = {
      proxy: { ip: LOOPBACK, port: proxyPort },
      origin: { ip: LOOPBACK, port: originPort },
      ...(credentials === undefined ? {} : { credentials }),
    }
    const pid = proxy.pid ?? 0
    const before = processorSeconds([pid])
    const load = await runLoad(subject, request)
    const used = processorSeconds([pid]) - before
    return { ...load, concurrency: request.concurrency, processorSeconds: used, rssBytes: residentBytes(pid) }
  } finally {
    await Promise.all([stop(origin), stop(proxy)])
  }
}

type Child = ChildProcessByStdio<Writable, Readable, null>

function run(file: string, args: readonly string[]): Child {
  return spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
}

async function firstLine(child: Child): Promise<string> {
  for await (const line of createInterface({ input: child.stdout })) return line
  throw new Error('a process of the load test ended before it said anything')
}

function portIn(line: string): number {
  const said: { port?: number; issues?: readonly Issue[] } = JSON.parse(line)
  if (said.port === undefined) throw new InputError(said.issues ?? [])
  return said.port
}

async function stop(child: Child): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  child.stdin.end()
  await exited
}

/** The first person with a password in the clear; nobody where the first door asks for none. */
function credentialsIn({ users, listeners, file }: LabConfig): Subject['credentials'] {
  if (listeners[0]?.authentication === 'anonymous' || listeners[0]?.fixedUser !== undefined) return undefined
  for (const { identity, password } of users) {
    if (password?.kind === 'plain') return { username: identity.email, password: password.text.reveal() }
  }
  throw new InputError([
    {
      severity: 'error',
      code: 'bench.no_password',
      message: 'no user of the configuration has a password in the clear to load the proxy with',
      hint: 'give one user `password:`, or measure a configuration whose first listener asks for none',
      file,
    },
  ])
}
