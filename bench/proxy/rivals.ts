// The proxies ours is measured beside: Debian's Squid, Traffic Server, Tinyproxy, Dante and microsocks,
// sing-box and mihomo where Go built them, and http-proxy from npm. Each is
// started on loopback with the least it needs to do the same work, and asked once whether it answers rightly.

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, chmodSync, constants, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { CLIENT_ADDRESSES } from '../../src/load-test/proxy/operation.ts'
import type { LoadMode } from '../../src/load-test/proxy/run-load.ts'

export interface RunningProxy {
  /** every process that does its work */
  pids(): readonly number[]
  stop(): Promise<void>
}

export interface RivalProxy {
  readonly name: string
  readonly modes: readonly LoadMode[]
  /** the program it needs, found on PATH or in the system's sbin folders; undefined when it comes with this project */
  readonly program?: string
  readonly debianPackage?: string
  /** what `go install` takes, where Debian has no package */
  readonly goPackage?: string
  /** whom it wants its clients to log in as; absent: it asks for nothing */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined
  /** has its process give back memory that it does not need; absent: it needs no telling */
  tidy?(pid: number): Promise<void>
  start(options: { readonly port: number; readonly source: string; readonly folder: string }): Promise<RunningProxy>
}

/** rules in force at those that have rules */
const RULES = 1000
const MICROSOCKS_USER = { username: 'bench@example.com', password: 'bench' }

export const RIVALS: readonly RivalProxy[] = [
  squid('Squid', false),
  squid('Squid, with its log', true),
  trafficServer('Traffic Server', false),
  trafficServer('Traffic Server, with its log', true),
  {
    // not for keep-alive requests: it closes the client's connection after every answer
    name: 'Tinyproxy',
    modes: ['connect', 'relay'],
    program: 'tinyproxy',
    debianPackage: 'tinyproxy',
    start: ({ port, source, folder }) => {
      const config = write(folder, 'tinyproxy.conf', [
        `Port ${port}`,
        'Listen 127.0.0.1',
        `Bind ${source}`,
        'MaxClients 10000',
        'Timeout 600',
        'DisableViaHeader No',
        `LogFile "${join(folder, 'tinyproxy.log')}"`,
        'LogLevel Connect',
      ])
      return runProxy('tinyproxy', ['-d', '-c', config], port)
    },
  },
  {
    name: 'Dante',
    modes: ['socks5', 'udp'],
    program: 'danted',
    debianPackage: 'dante-server',
    start: ({ port, source, folder }) => {
      const config = write(folder, 'danted.conf', [
        `logoutput: ${join(folder, 'danted.log')}`,
        `internal: 127.0.0.1 port = ${port}`,
        `external: ${source}`,
        'clientmethod: none',
        'socksmethod: none',
        'user.privileged: root',
        'user.unprivileged: nobody',
        'client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 log: error }',
        'socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 log: connect disconnect }',
      ])
      return runProxy('danted', ['-f', config, '-p', join(folder, 'danted.pid')], port)
    },
  },
  {
    name: 'microsocks',
    modes: ['socks5'],
    program: 'microsocks',
    debianPackage: 'microsocks',
    start: ({ port, source }) => runProxy('microsocks', ['-i', '127.0.0.1', '-p', String(port), '-b', source], port),
  },
  {
    name: 'microsocks, password',
    modes: ['socks5'],
    program: 'microsocks',
    debianPackage: 'microsocks',
    credentials: MICROSOCKS_USER,
    start: ({ port, source }) => {
      const { username, password } = MICROSOCKS_USER
      const login = ['-u', username, '-P', password]
      return runProxy('microsocks', ['-i', '127.0.0.1', '-p', String(port), '-b', source, ...login], port)
    },
  },
  {
    name: 'sing-box',
    modes: ['connect', 'socks5', 'http', 'relay'],
    program: 'sing-box',
    goPackage: 'github.com/sagernet/sing-box/cmd/sing-box',
    start: ({ port, source, folder }) => {
      const rules = Array.from({ length: RULES }, (_, at) => ({
        domain_suffix: [`rule-${at}.test`],
        port: [443],
        outbound: 'direct',
      }))
      const config = write(folder, 'sing-box.json', [
        JSON.stringify({
          log: { disabled: true },
          inbounds: [{ type: 'mixed', listen: '127.0.0.1', listen_port: port }],
          outbounds: [{ type: 'direct', tag: 'direct', inet4_bind_address: source }],
          route: { rules, final: 'direct' },
        }),
      ])
      return runProxy('sing-box', ['run', '-c', config], port)
    },
  },
  {
    name: 'mihomo',
    modes: ['connect', 'socks5', 'http', 'relay'],
    program: 'mihomo',
    goPackage: 'github.com/metacubex/mihomo',
    start: ({ port, folder }) => {
      const config = write(folder, 'config.yaml', [
        JSON.stringify({
          'mixed-port': port,
          'bind-address': '127.0.0.1',
          mode: 'rule',
          'log-level': 'silent',
          'geo-auto-update': false,
          rules: [...Array.from({ length: RULES }, (_, at) => `DOMAIN-SUFFIX,rule-${at}.test,DIRECT`), 'MATCH,DIRECT'],
        }),
      ])
      return runProxy('mihomo', ['-d', folder, '-f', config], port)
    },
  },
  {
    name: 'http-proxy',
    modes: ['http'],
    start: ({ port, source }) =>
      runProxy(process.execPath, [join(import.meta.dirname, 'http-proxy-server.ts'), String(port), source], port),
  },
]

/** One worker, no cache. `logs`: an access log as ours writes session records. */
function squid(name: string, logs: boolean): RivalProxy {
  return {
    name,
    modes: logs ? ['connect', 'http'] : ['connect', 'http', 'relay'],
    program: 'squid',
    debianPackage: 'squid',
    start: ({ port, source, folder }) => {
      const config = write(folder, 'squid.conf', [
        `http_port 127.0.0.1:${port}`,
        'http_access allow all',
        'acl lab src 127.0.0.0/8',
        `tcp_outgoing_address ${source} lab`,
        'cache deny all',
        'cache_mem 0 MB',
        'workers 1',
        logs ? `access_log stdio:${join(folder, 'access.log')}` : 'access_log none',
        `cache_log ${join(folder, 'cache.log')}`,
        `pid_filename ${join(folder, 'squid.pid')}`,
        `coredump_dir ${folder}`,
        'shutdown_lifetime 0 seconds',
        'max_filedescriptors 20000',
        'pinger_enable off',
        // Squid asks DNS for the name of every new client address; unanswered questions pile up in a list that it walks
        `hosts_file ${write(
          folder,
          'hosts',
          CLIENT_ADDRESSES.map((address, at) => `${address} client-${at}.test`),
        )}`,
      ])
      return runProxy('squid', ['-N', '-f', config], port)
    },
  }
}

/** One event thread, no cache. `logs`: an access log as Squid's. */
function trafficServer(name: string, logs: boolean): RivalProxy {
  return {
    name,
    modes: logs ? ['connect', 'http'] : ['connect', 'http', 'relay'],
    program: 'traffic_server',
    debianPackage: 'trafficserver',
    start: ({ port, source, folder }) => {
      const settings = [
        `CONFIG proxy.config.http.server_ports STRING ${port}:ip-in=127.0.0.1`,
        `LOCAL proxy.local.outgoing_ip_to_bind STRING ${source}`,
        'CONFIG proxy.config.url_remap.remap_required INT 0',
        'CONFIG proxy.config.reverse_proxy.enabled INT 0',
        'CONFIG proxy.config.http.connect_ports STRING *',
        'CONFIG proxy.config.http.cache.http INT 0',
        `CONFIG proxy.config.log.logging_enabled INT ${logs ? 3 : 0}`,
        'CONFIG proxy.config.admin.user_id STRING #-1',
        'CONFIG proxy.config.exec_thread.autoconfig.enabled INT 0',
        'CONFIG proxy.config.exec_thread.limit INT 1',
      ]
      const format = '%<cqtq> %<ttms> %<chi> %<crc>/%<pssc> %<psql> %<cqhm> %<cquc> %<caun> %<phr>/%<shn> %<psct>'
      const places = ['sysconfdir', 'runtimedir', 'localstatedir', 'logdir', 'cachedir', 'datadir']
      write(folder, 'records.config', settings)
      write(folder, 'ip_allow.yaml', ['ip_allow: [{ apply: in, ip_addrs: 127.0.0.0/8, action: allow, methods: ALL }]'])
      write(folder, 'logging.yaml', [
        `logging: { formats: [{ name: squid, format: '${format}' }], logs: [{ filename: access, format: squid }] }`,
      ])
      write(folder, 'storage.config', [`${folder} 64M`])
      write(folder, 'remap.config', [])
      write(folder, 'plugin.config', [])
      write(
        folder,
        'runroot.yaml',
        places.map((place) => `${place}: ${folder}`),
      )
      return runProxy('traffic_server', [`--run-root=${folder}`], port)
    },
  }
}

/** Is the rival's program on this machine? */
export function isInstalled({ program }: RivalProxy): boolean {
  return program === undefined || findProgram(program) !== undefined
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']
  return folders
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

function write(folder: string, name: string, lines: readonly string[]): string {
  mkdirSync(folder, { recursive: true })
  // daemons that drop root must still be able to write their logs here
  chmodSync(folder, 0o777)
  const file = join(folder, name)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

/** Starts a proxy and waits until it serves: until `ready` shows on its error stream, or else until its port accepts. */
export async function runProxy(
  program: string,
  args: readonly string[],
  port: number,
  ready?: string,
): Promise<RunningProxy> {
  const child = spawn(findProgram(program) ?? program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let complaint = ''
  const said = new Promise<void>((resolve) => {
    child.stderr.on('data', (data: Buffer) => {
      complaint = (complaint + data).slice(-2000)
      if (ready !== undefined && complaint.includes(ready)) resolve()
    })
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await Promise.race([
    ready === undefined ? untilListening(port) : said,
    exited.then(() => Promise.reject(new Error(`${program} ended: ${complaint}`))),
  ])
  return {
    pids: () => [pidOf(child), ...descendantsOf(pidOf(child))],
    stop: async () => {
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), 5000)
      await exited
      clearTimeout(patience)
    },
  }
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the process did not start')
  return child.pid
}

function descendantsOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
    .flatMap((name) => [Number(name), ...descendantsOf(Number(name))])
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

/** Resolves when something accepts connections there; gives up after ten seconds. */
async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + 10_000
  while (performance.now() < deadline) {
    if (await accepts(port)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on port ${port} after ten seconds`)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
