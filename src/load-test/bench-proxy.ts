// What `bench proxy` measures: this project's own data path on a configuration, in a process of its own, between a load origin
// in another and a load generator here.

import type { LabConfig } from '../config/lab-config.ts'
import { readConfig } from '../decider/read-config.ts'
import { InputError, type Issue, inputError } from '../errors/issue.ts'
import { ip } from '../net/ip.ts'
import type { ProxyUnderTest } from './proxy/operation.ts'
import { processorSeconds, residentBytes, startLoadProcess, startOriginProcess } from './proxy/origin-process.ts'
import { runLoad } from './proxy/run-load.ts'

const LOOPBACK = ip('127.0.0.1')

/** Throws an InputError where the configuration is not good. */
export async function benchProxyOn(request: ProxyBenchRequest): Promise<ProxyBenchSummary> {
  const { config } = readConfig(request.configFile)
  const credentials = credentialsIn(config)
  const underTest = new URL('./proxy-under-test.ts', import.meta.url)
  await using stack = new AsyncDisposableStack()
  const origin = await startOriginProcess(LOOPBACK.text)
  stack.defer(() => origin.stop())
  const proxy = await startLoadProcess(underTest, [request.configFile, String(request.workers)])
  stack.defer(() => proxy.stop())
  const subject: ProxyUnderTest = {
    proxy: { ip: LOOPBACK, port: portIn(proxy.line) },
    origin: { ip: LOOPBACK, port: origin.port },
    ...(credentials === undefined ? {} : { credentials }),
  }
  const before = processorSeconds([proxy.pid])
  const load = await runLoad(subject, request)
  const used = processorSeconds([proxy.pid]) - before
  return { ...load, concurrency: request.concurrency, processorSeconds: used, rssBytes: residentBytes(proxy.pid) }
}

function portIn(line: string): number {
  const said: { port?: number; issues?: readonly Issue[] } = JSON.parse(line)
  if (said.port === undefined) throw new InputError(said.issues ?? [])
  return said.port
}

/** The first user with a plain-text password; undefined if the first listener needs none. */
function credentialsIn({ users, listeners, file }: LabConfig): ProxyUnderTest['credentials'] {
  if (listeners[0]?.authentication === 'anonymous' || listeners[0]?.fixedUser !== undefined) return undefined
  for (const { identity, password } of users) {
    if (password?.kind === 'plain') return { username: identity.email, password: password.text.reveal() }
  }
  throw inputError('bench.no_password', 'no user of the configuration has a plain-text password for the load test', {
    hint: 'give a user a `password:`, or use a configuration whose first listener needs none',
    file,
  })
}

export interface ProxyBenchRequest {
  readonly configFile: string
  readonly mode: 'connect' | 'http' | 'socks5' | 'relay' | 'udp'
  /** threads of the proxy that carry connections */
  readonly workers: number
  readonly concurrency: number
  readonly seconds: number
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface ProxyBenchSummary {
  readonly mode: ProxyBenchRequest['mode']
  readonly concurrency: number
  readonly seconds: number
  readonly operations: number
  readonly failures: number
  /** the first failure, in words */
  readonly failure?: string
  /** received through the proxy, relay only */
  readonly bytes: number
  /** nanoseconds of single operations; relay has none */
  readonly latency: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>>
  /** operations by duration: the count at n took at least 2^n and less than 2^(n+1) nanoseconds */
  readonly buckets: readonly number[]
  /** of the proxy's process, all its threads */
  readonly processorSeconds: number
  readonly rssBytes: number
}
