// A fleet for tests: NATS servers and members as processes of their own, each member with stand-ins of its own, and one origin outside
// of all of them, which sees by what address a connection really comes.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { issueAuthority, issueMemberCertificate } from '../../src/tls/issue-certificates.ts'
import { type Banner, bannerOf } from './banner.ts'
import { installed } from './installed.ts'
import { loopback, ownNetwork, ownPort } from './own-network.ts'
import { PATIENCE_MS, PATIENT } from './patience.ts'

export const FLEET_TOKEN = 'a-token-of-every-member-of-the-fleet'
export const FLEET_USER = 'bob@example.com:lab-bob'
export const FLEET_ORIGIN = 'http://origin.test/'

/** colo → the last octet of its address, which is also that of its stand-in */
export const FLEET_COLOS = { AMS: 10, LHR: 20, FRA: 30, EWR: 40 } as const
export type FleetColo = keyof typeof FLEET_COLOS

export const publicAddress = (colo: FleetColo) => `203.0.113.${FLEET_COLOS[colo]}`

export interface Visit {
  /** path and query */
  readonly url: string
  /** `127.x.y.z:port` of whoever came */
  readonly from: string
}

export class TestFleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'egresslab-fleet-'))
  readonly visits: Visit[] = []
  readonly members = new Map<string, TestMember>()
  readonly servers: NatsServer[] = []
  readonly name: string
  readonly #origin: Server
  #originPort = 0

  constructor(name = 'acme') {
    this.name = name
    this.#origin = createServer((request, response) => {
      const { remoteAddress, remotePort } = request.socket
      this.visits.push({ url: request.url ?? '', from: `${remoteAddress}:${remotePort}` })
      response.end(String(remoteAddress))
    })
  }

  /** `servers`: how many of NATS, one or a cluster. */
  async begin(servers = 1): Promise<void> {
    this.#originPort = ownPort(60)
    this.#origin.listen(this.#originPort, loopback(77))
    await once(this.#origin, 'listening')
    await this.certificates(['ams-1', 'lhr-1', 'fra-1', 'ewr-1'])
    for (let at = 0; at < servers; at++) this.servers.push(new NatsServer(this.folder, at, servers))
    await Promise.all(this.servers.map((server) => server.start()))
  }

  async certificates(members: readonly string[], folder = 'certs', fleet = this.name): Promise<void> {
    const at = (file: string) => join(this.folder, folder, file)
    mkdirSync(join(this.folder, folder), { recursive: true })
    const authority = await issueAuthority(Date.now(), `fleet ${fleet}`)
    writeFileSync(at('ca.pem'), authority.certificate)
    for (const member of members) {
      const host = `${member}.${fleet}.fleet.egresslab.internal`
      const { certificate, key } = await issueMemberCertificate(authority, host, Date.now())
      writeFileSync(at(`${member}.pem`), certificate)
      writeFileSync(at(`${member}-key.pem`), key, { mode: 0o600 })
    }
  }

  /** The configuration of a member, with its place in this fleet: `number` 0…3 gives ports and stand-ins. */
  member(number: number, colo: FleetColo, change: (text: string) => string = (text) => text): TestMember {
    const name = `${colo.toLowerCase()}-1`
    const network = ownNetwork(number).replace('.0.0/16', '')
    const ips = Object.entries(FLEET_COLOS).map(
      ([code, octet]) =>
        `  - { colo: ${code}, ipv4: 203.0.113.${octet}, ipv6: "2001:db8:${octet}::/64", stand_ins: { ipv4: ${network}.9.${octet} } }`,
    )
    const text = `dedicated_ips:
${ips.join('\n')}
stand_ins: { network: ${network}.0.0/16 }
users: [{ email: bob@example.com, password: lab-bob, place: { city: Amsterdam, country: NL, latitude: 52.4, longitude: 4.9 } }]
destinations:
  - name: origin.test
    addresses: [{ public: 198.51.100.77, stand_in: ${loopback(77)} }]
    ports: { 80: ${this.#originPort} }
rules:
  - name: Out
    precedence: 1000
    traffic: net.fqdn.host == "origin.test"
    egress: { ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
listeners: [{ name: main, host: 127.0.0.1, port: ${ownPort(number)} }]
api: { port: ${ownPort(10 + number)} }
fleet:
  name: ${this.name}
  member: ${name}
  colo: ${colo}
  servers: [${this.servers.map(({ url }) => url).join(', ')}]
  advertise: ${loopback(1)}:${ownPort(20 + number)}
  ca: certs/ca.pem
  certificate: certs/${name}.pem
  key: certs/${name}-key.pem
`
    const file = join(this.folder, `${name}-${number}.yaml`)
    writeFileSync(file, change(text))
    const member = new TestMember(this.folder, { name, colo, number, file, network })
    this.members.set(`${name}-${number}`, member)
    return member
  }

  async end(): Promise<void> {
    await Promise.all([...this.members.values(), ...this.servers].map((each) => each.kill()))
    this.#origin.closeAllConnections()
    this.#origin.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class NatsServer {
  readonly url: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  /** `more`: further lines of its configuration; JetStream is on unless they say otherwise. */
  constructor(folder: string, at: number, of: number, more = '') {
    const host = loopback(2)
    const port = ownPort(30 + at)
    this.url = `nats://${host}:${port}`
    const routes = Array.from({ length: of }, (_, other) => `nats://${host}:${ownPort(40 + other)}`)
    const file = join(folder, `nats-${at}.conf`)
    const cluster =
      of === 1
        ? ''
        : `cluster { name: c, listen: "${host}:${ownPort(40 + at)}", routes: [${routes.map((r) => `"${r}"`).join(', ')}] }`
    writeFileSync(
      file,
      `server_name: n${at}\nlisten: "${host}:${port}"\n${more.includes('jetstream') ? '' : `jetstream { store_dir: "${join(folder, `js-${at}`)}" }`}\n${cluster}\n${more}\n`,
    )
    this.#args = ['-c', file]
  }

  /** Unless it runs. */
  async start(): Promise<void> {
    if (this.#child !== undefined) return
    const child = guarded(installed('nats-server', 'nats-server') ?? 'nats-server', this.#args)
    this.#child = child
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await vi.waitFor(() => expect(said).toContain('Server is ready'), PATIENT)
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(name)
  }

  async kill(): Promise<void> {
    await killed(this.#child)
    this.#child = undefined
  }
}

interface MemberFacts {
  readonly name: string
  readonly colo: FleetColo
  readonly number: number
  readonly file: string
  readonly network: string
}

export class TestMember {
  readonly facts: MemberFacts
  readonly state: string
  child: ChildProcess | undefined
  #banner: Banner | undefined

  constructor(folder: string, facts: MemberFacts) {
    this.facts = facts
    this.state = join(folder, `state-${facts.name}-${facts.number}`)
  }

  /** The local address that stands in for that of a data center, where it is bound at this member. */
  standIn(colo: FleetColo): string {
    return `${this.facts.network}.9.${FLEET_COLOS[colo]}`
  }

  /** Starts it, and waits until it listens. Rejects with what it said where it ends. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<this> {
    const child = this.#spawn({ ...process.env, ...env, EGRESSLAB_API_TOKEN: FLEET_TOKEN })
    this.#banner = await bannerOf(child, '  sessions ')
    return this
  }

  /** what it has written to standard error since it started */
  said(): string {
    return this.#banner?.said() ?? ''
  }

  /** What it says when it does not start. */
  async refusal(env: Readonly<Record<string, string>> = {}): Promise<string> {
    const child = this.#spawn({ ...process.env, ...env })
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const [status] = await once(child, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
    expect([status, said]).toEqual([2, said])
    return said
  }

  #spawn(env: NodeJS.ProcessEnv): ChildProcess {
    const args = ['scripts/egresslab.mjs', 'start', '--config', this.facts.file, '--state', this.state]
    this.child = guarded(process.execPath, args, { env })
    return this.child
  }

  async kill(): Promise<void> {
    await killed(this.child)
    this.child = undefined
  }

  async stop(): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
    this.child = undefined
  }

  proxy(): string {
    return `http://127.0.0.1:${ownPort(this.facts.number)}`
  }

  api(): string {
    return `http://127.0.0.1:${ownPort(10 + this.facts.number)}`
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const answer = await fetch(`${this.api()}${path}`, {
      method,
      headers: { authorization: `Bearer ${FLEET_TOKEN}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    const text = await answer.text()
    return {
      status: answer.status,
      revision: Number(answer.headers.get('egresslab-revision')),
      ...JSON.parse(text),
    }
  }

  async status() {
    return (await this.ask('GET', '/lab/v1/fleet')).result
  }

  /** Waits until it sees these members so: `{ 'lhr-1': 'up' }`. */
  async sees(members: Readonly<Record<string, string>>): Promise<void> {
    await vi.waitFor(async () => {
      const { members: seen } = await this.status()
      const states = seen.map((each: { name: string; state: string }) => [each.name, each.state])
      expect(Object.fromEntries(states)).toMatchObject(members)
      for (const { is_self, link, state } of seen) if (!is_self && state === 'up') expect(link).toBe('up')
    }, PATIENT)
  }

  /** Sends the one rule out by the address of a data center. */
  async sendBy(colo: FleetColo, query = '') {
    const account = (await this.ask('GET', '/lab/v1/account')).result.id
    const path = `/client/v4/accounts/${account}/gateway/rules`
    const [rule] = (await this.ask('GET', path)).result
    const octet = FLEET_COLOS[colo]
    const egress = { ipv4: publicAddress(colo), ipv4_fallback: null, ipv6: `2001:db8:${octet}::/64` }
    const body = {
      name: rule.name,
      action: 'egress',
      enabled: true,
      precedence: rule.precedence,
      filters: ['egress'],
      traffic: rule.traffic,
      rule_settings: { egress },
    }
    return this.ask('PUT', `${path}/${rule.id}${query}`, body)
  }

  /** finished sessions, from its file */
  records(): readonly SessionLine[] {
    try {
      const lines = readFileSync(join(this.state, 'sessions.ndjson'), 'utf8').split('\n')
      return lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as SessionLine)
    } catch {
      return []
    }
  }
}

export interface SessionLine {
  readonly SessionID: string
  readonly EgressIP: string
  readonly Protocol: string
  readonly BytesSent: number
  readonly Lab: {
    readonly policyRevision: number
    readonly target: string
    readonly bind?: string
    readonly exit?: string
    readonly outcome?: string
    readonly error?: { readonly code: string }
    readonly fleet?: { readonly member: string; readonly cutOff: boolean }
  }
}

/** A process that the kernel ends with this one, however this one ends: a run that is killed leaves nobody behind who holds ports. */
export function guarded(
  command: string,
  args: readonly string[],
  {
    env = process.env,
    cwd,
    stdout = 'ignore',
  }: { env?: NodeJS.ProcessEnv; cwd?: string; stdout?: 'ignore' | 'pipe' } = {},
): ChildProcess {
  const guard = process.platform === 'linux' ? installed('setpriv', 'util-linux') : undefined
  const [program = command, ...rest] = [
    ...(guard === undefined ? [] : [guard, '--pdeathsig', 'KILL']),
    command,
    ...args,
  ]
  return spawn(program, rest, { stdio: ['ignore', stdout, 'pipe'], env, ...(cwd === undefined ? {} : { cwd }) })
}

async function killed(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
