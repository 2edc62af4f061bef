// A tiny internet of network namespaces: the lab's host and an origin's host, joined by a cable, in a user namespace, so that no
// root is needed. A namespace lives as long as the process that keeps it, and that one ends with this process's end of its
// standard input: nothing is left behind, whatever happens here.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installed } from './installed.ts'
import { PATIENCE_MS } from './patience.ts'

/** Programs of the hosts share what Node has compiled before: they start in half the time. */
const ENVIRONMENT = {
  PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
  HOME: '/nonexistent',
  NODE_COMPILE_CACHE: join(tmpdir(), 'egresslab-tests-compile-cache'),
}

/** Addresses of the cable's two ends; everything the lab's host owns beyond its own is routed to it. */
export const LAB_HOST = { ipv4: '192.0.2.1', ipv6: '2001:db8:ffff::1' }
export const ORIGIN_HOST = { ipv4: '192.0.2.2', ipv6: '2001:db8:ffff::2' }

export interface Answer {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

export interface Host {
  /** Runs a program to its end; never rejects for what it says. */
  run(program: string, ...args: readonly string[]): Promise<Answer>
  /** Runs it and wants no complaint. Answers what it printed. */
  must(program: string, ...args: readonly string[]): Promise<string>
  /** Starts a program that runs until the internet is closed. */
  start(program: string, args: readonly string[]): ChildProcess
}

export interface Internet {
  readonly lab: Host
  readonly origin: Host
  /** Lays one more cable between the two; the network device has this name at both ends. */
  lay(name: string, lab: CableEnd, origin: CableEnd): Promise<void>
  close(): void
}

export interface CableEnd {
  readonly ipv4: string
  readonly ipv6: string
}

/** Can there be one here? Says so where not; throws where CI=true. */
export function canHaveInternet(): boolean {
  const programs = [
    ['ip', 'iproute2'],
    ['unshare', 'util-linux'],
    ['nsenter', 'util-linux'],
    ['curl', 'curl'],
  ] as const
  if (programs.map(([program, from]) => installed(program, from)).includes(undefined)) return false
  if (ways().length > 0) return true
  const message = 'this kernel does not let us have network namespaces (unshare -Urn true fails)'
  if (process.env.CI === 'true') throw new Error(message)
  process.stderr.write(`SKIPPED: ${message}\n`)
  return false
}

/** How to have a network namespace: with a user namespace around it, or as root where the kernel permits only that. */
interface WayIn {
  readonly unshare: readonly string[]
  readonly nsenter: readonly string[]
}

function ways(): WayIn[] {
  const all = [
    { unshare: ['--user', '--map-root-user', '--net'], nsenter: ['-U', '-n', '--preserve-credentials'] },
    { unshare: ['--net'], nsenter: ['-n'] },
  ]
  return all.filter(({ unshare }) => {
    try {
      execFileSync('unshare', [...unshare, 'true'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

/** Two hosts and the cable between them; `routed` are prefixes the origin's host reaches by way of the lab's. */
export async function createInternet(routed: readonly string[]): Promise<Internet> {
  const started: ChildProcess[] = []
  const close = () => {
    for (const child of started) child.kill('SIGKILL')
  }
  try {
    const [way] = ways()
    if (way === undefined) throw new Error('there can be no network namespaces here')
    const into = (pid: number) => ['-t', String(pid), ...way.nsenter, '--']
    const lab = await keep(started, 'unshare', [...way.unshare, '--'])
    const origin = await keep(started, 'nsenter', [...into(lab), 'unshare', '--net', '--'])
    const hosts = { lab: host(into(lab), started), origin: host(into(origin), started) }
    const lay = layer(hosts, origin)
    await lay('cable', LAB_HOST, ORIGIN_HOST)
    for (const prefix of routed) {
      const via = prefix.includes(':') ? LAB_HOST.ipv6 : LAB_HOST.ipv4
      await hosts.origin.must('ip', 'route', 'add', prefix, 'via', via)
    }
    return { ...hosts, lay, close }
  } catch (thrown) {
    close()
    throw thrown
  }
}

/** A process that keeps its namespaces until it is told or its standard input ends. Answers its id. */
async function keep(started: ChildProcess[], program: string, args: readonly string[]): Promise<number> {
  const child = spawn(program, [...args, 'sh', '-c', 'echo $$; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
  started.push(child)
  const [text] = await once(child.stdout, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return Number(String(text))
}

/** `into`: what nsenter needs to get there. */
function host(into: readonly string[], started: ChildProcess[]): Host {
  const run: Host['run'] = (program, ...args) =>
    new Promise((resolve) => {
      const options = { env: ENVIRONMENT, timeout: PATIENCE_MS, encoding: 'utf8' } as const
      execFile('nsenter', [...into, program, ...args], options, (error, stdout, stderr) => {
        resolve({ exit: error === null ? 0 : Number(error.code ?? -1), stdout, stderr })
      })
    })
  return {
    run,
    must: async (program, ...args) => {
      const { exit, stdout, stderr } = await run(program, ...args)
      if (exit !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}${stdout}`)
      return stdout
    },
    start: (program, args) => {
      const child = spawn('nsenter', [...into, program, ...args], {
        env: ENVIRONMENT,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      started.push(child)
      return child
    },
  }
}

function layer(hosts: Pick<Internet, 'lab' | 'origin'>, originPid: number): Internet['lay'] {
  return async (name, labEnd, originEnd) => {
    const { lab, origin } = hosts
    await lab.must('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', name, 'netns', String(originPid))
    for (const [one, { ipv4, ipv6 }] of [
      [lab, labEnd],
      [origin, originEnd],
    ] as const) {
      await one.must('ip', 'link', 'set', 'lo', 'up')
      await one.must('ip', 'link', 'set', name, 'up')
      await one.must('ip', 'addr', 'add', `${ipv4}/24`, 'dev', name)
      await one.must('ip', 'addr', 'add', `${ipv6}/64`, 'dev', name, 'nodad')
    }
  }
}
