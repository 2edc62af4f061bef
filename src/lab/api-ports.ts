// The API over the running lab: what it may see and do, wired to the parts that see and do it.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import {
  type ApiCertificate,
  type ApiPorts,
  type ApiServer,
  type DiagnosticsPort,
  type OriginView,
  type PortalUser,
  type SessionPage,
  startApi,
  type VerifyQuestion,
} from '../api/index.ts'
import type { ConfiguredUser, LabConfig, OriginSpec } from '../config/lab-config.ts'
import { ownFolder } from '../config/own-package.ts'
import { namedNumbers } from '../config/read-destinations.ts'
import { vocabularyOf } from '../decider/advise.ts'
import type { Decider } from '../decider/decider.ts'
import { explainConnection, explanationJson } from '../decider/explain-connection.ts'
import { createMatrix } from '../decider/matrix.ts'
import { type EgressVerification, echoOrigins, VERIFY_TIMEOUT_MS, verifyOrigin } from '../decider/verify-egress.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { GeoDatabase } from '../geo/database.ts'
import type { Identifier } from '../identity/identify.ts'
import type { SessionLog } from '../log/session-log.ts'
import { rangeText } from '../net/cidr.ts'
import { ip, parseIp } from '../net/ip.ts'
import type { EgressHealth, EgressOutage } from '../outbound/egress-health.ts'
import type { Account } from '../policy/account.ts'
import { letsIn } from '../policy/allowlist.ts'
import { countedEgress } from '../policy/egress-address.ts'
import type { Listener } from '../proxy/arrival.ts'
import { applyColoOutage, type RecentSessions } from '../proxy/live-sessions.ts'
import type { Store } from '../store/store.ts'
import type { EngineName } from '../transport/engine.ts'
import type { DataPlaneTraffic } from './thread-data-plane.ts'

export interface ApiParts {
  /** read on every use: it may be reloaded */
  readonly config: LabConfig
  readonly store: Store
  readonly sessions: SessionLog
  readonly ruleUses: ApiPorts['ruleUses']
  readonly memory: RecentSessions
  readonly traffic: DataPlaneTraffic
  readonly identifier: Identifier
  /** absent: there is no Gateway DNS */
  readonly dns: ApiPorts['dns']
  readonly decider: Decider
  readonly token: ApiPorts['token']
  readonly tokens: ApiPorts['tokens']
  readonly provider: ApiPorts['provider'] | undefined
  readonly audit: ApiPorts['audit']
  readonly policyHistory: ApiPorts['policyHistory']
  readonly version: string
  readonly engine: EngineName
  readonly troubles: () => Promise<readonly string[]>
  readonly unready: () => Promise<readonly string[]>
  readonly health: EgressHealth
  readonly endpoints: ApiPorts['endpoints'] | undefined
  /** the listeners that are open, with their real ports */
  readonly listeners: () => readonly Listener[]
  readonly authority: ApiPorts['authority']
  readonly geo: GeoDatabase
  readonly signIn: ApiPorts['signIn'] | undefined
  readonly logpush: ApiPorts['logpush']
  readonly voucher: NonNullable<ApiPorts['voucher']>
  /** absent: the lab is alone */
  readonly fleet: ApiPorts['fleet'] | undefined
  /** absent: the API is plain HTTP */
  readonly tls: ApiCertificate | undefined
  readonly notice: (message: string) => void
}

/** Listens and serves. Throws an InputError when the address cannot be bound. */
export async function serveApi(parts: ApiParts): Promise<ApiServer> {
  const { api, file } = parts.config
  try {
    return await startApi({ ...api, tls: parts.tls }, portsOver(parts))
  } catch (thrown) {
    const message = `the API cannot listen: ${messageOf(thrown)}`
    throw inputError('listen.failed', message, { file })
  }
}

function portsOver(parts: ApiParts): ApiPorts {
  const { store, sessions, traffic, token, tokens, audit, notice } = parts
  return {
    plane: store,
    traffic,
    token,
    tokens,
    audit,
    policyHistory: parts.policyHistory,
    notice,
    sessions: {
      live: () => traffic.decided().map(({ session }) => session),
      close: (id) => {
        const found = traffic.find(id) !== undefined
        if (found) traffic.cut(id, new GatewayError('relay.killed', 'closed by the operator'))
        return found
      },
      settle: async (colo, reset) => {
        await traffic.inForce()
        await traffic.refresh()
        const { sessions: concerned } = applyColoOutage(traffic, colo, reset)
        return { reset, count: concerned.length }
      },
      recent: () => sessions.recent(),
      forget: () => sessions.forget(),
      subscribe: (listener) => sessions.subscribe(listener),
    },
    ruleUses: parts.ruleUses,
    diagnostics: createDiagnostics(parts),
    page: readConsole(parts.config.api.publicUrl?.base),
    listeners: parts.listeners,
    authority: parts.authority,
    ...(parts.endpoints === undefined ? {} : { endpoints: parts.endpoints }),
    ...(parts.dns === undefined ? {} : { dns: parts.dns }),
    ...(parts.fleet === undefined ? {} : { fleet: parts.fleet }),
    voucher: parts.voucher,
    logpush: parts.logpush,
    ...(parts.signIn === undefined ? {} : { signIn: parts.signIn }),
    ...(parts.provider === undefined ? {} : { provider: parts.provider }),
    explain: (question) => answerQuestion(parts.decider, question),
    matrix: (question) => createMatrix(parts.decider, question),
    checkUser: (user, password, peer) => checkUser(parts, user, password, peer),
    vocabulary: () => vocabularyOf(parts.config),
    users: () =>
      parts.config.users.map((user) => ({
        email: user.identity.email,
        name: user.identity.name,
        groups: user.identity.groups.map(({ name }) => name),
        ...placeOf(parts, user),
      })),
    catalogue: () => ({
      postureChecks: parts.config.postureChecks ?? [],
      applications: namedNumbers(parts.config.categories, 'applications'),
      contentCategories: namedNumbers(parts.config.categories, 'contentCategories'),
    }),
    status: {
      version: parts.version,
      engine: parts.engine,
      geoDatabases: () => parts.geo.files().map(({ type }) => type),
      startedAt: Date.now(),
      counts: () => traffic.counts(),
      troubles: async () => [...(await parts.troubles()), ...parts.health.outages().map(inWords)],
      egressHealth: () => ({ outages: parts.health.outages(), faults: parts.health.faults() }),
      unready: parts.unready,
      portUse: () => portUse(traffic, store.current().account),
      portLimit: () => traffic.leases(),
      datagrams: () => traffic.datagrams(),
    },
  }
}

/** The default location of a user: as configured, else that of their device's address. */
function placeOf({ config, geo }: ApiParts, { place, defaultDevice }: Pick<ConfiguredUser, 'place' | 'defaultDevice'>) {
  const device = config.devices.find((entry) => entry.device.id === defaultDevice)
  const address = device?.device.sourceIp
  const found = place ?? device?.place ?? (address === undefined ? undefined : geo.placeOf(address))
  return found === undefined ? {} : { place: found }
}

async function answerQuestion(decider: Decider, question: Parameters<ApiPorts['explain']>[0]): Promise<unknown> {
  const { destination, protocol = 'tcp', family, colosDown = [], ...rest } = question
  const given = family === undefined ? {} : { family: family === 4 ? ('4' as const) : ('6' as const) }
  return explanationJson(
    await explainConnection(decider, destination, { ...rest, ...given, protocol, coloDown: colosDown }),
  )
}

/** Runs the pipeline's identify stage, as a listener that needs credentials would. */
async function checkUser(
  { identifier, store }: ApiParts,
  username: string,
  password: string,
  peer: string,
): Promise<string | undefined> {
  const client = {
    protocol: 'http-forward',
    transport: 'tcp',
    listener: { name: 'api', host: '127.0.0.1', port: 0, authentication: 'required' },
    peer: { ip: parseIp(peer) ?? ip('127.0.0.1'), port: 0 },
    credentials: { username, password },
    acceptedAt: store.now(),
  } as const
  try {
    return (await identifier.identify(client, store.current())).identity?.email
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.code.startsWith('identity.')) return undefined
    throw thrown
  }
}

function inWords({ egress, code, message }: EgressOutage): string {
  return `connections from ${egress} fail [${code}]: ${message}`
}

/** Each open upstream connection holds one port of its egress address. */
function portUse(traffic: DataPlaneTraffic, account: Account): { egress: string; used: number }[] {
  const byEgress = Map.groupBy(traffic.decided(), ({ session: { egress } }) =>
    countedEgress(account, egress.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')),
  )
  return [...byEgress].map(([egress, sessions]) => ({ egress, used: sessions.length }))
}

export interface DiagnosticsParts {
  readonly config: LabConfig
  readonly traffic: DataPlaneTraffic
  readonly memory: RecentSessions
  readonly decider: Decider
  /** the listeners that are open, with their real ports */
  readonly listeners: () => readonly Listener[]
}

/** Users whose admission is computed at most; a configuration may have thousands. */
const MOST_VISITORS = 50

/** What the API shows of a running lab: open and finished sessions, test origins, and a check of what echo origins
 *  see. */
export function createDiagnostics(parts: DiagnosticsParts): DiagnosticsPort {
  const { traffic, memory } = parts
  return {
    open: () => traffic.decided(),
    findOpen: (id) => traffic.find(id),
    finished: () => memory.list(),
    findFinished: (id) => memory.find(id),
    onOpen: (listener) => traffic.onOpen(listener),
    onFinish: (listener) => memory.subscribe(listener),
    verify: (question) => verify(parts, question),
    origins: () => Promise.all(parts.config.origins.map((spec) => viewOf(parts, spec))),
  }
}

async function verify(
  { config, listeners }: DiagnosticsParts,
  { user, password, vnet }: VerifyQuestion,
): Promise<readonly EgressVerification[] | undefined> {
  const configured = config.users.find(({ identity }) => identity.email === user)?.password
  const secret = password ?? (configured?.kind === 'plain' ? configured.text.reveal() : undefined)
  if (secret === undefined) return undefined
  const listener = listeners().find(
    ({ authentication, fixedUser }) => authentication !== 'anonymous' && fixedUser === undefined,
  )
  if (listener === undefined) return []
  const proxy = { host: listener.host, port: listener.port }
  const { getThroughProxy } = await import('../decider/proxy-client.ts')
  return Promise.all(
    echoOrigins(config).map((origin) => {
      const username = [user, ...(vnet === undefined ? [] : [`vnet=${vnet}`]), `family=${origin.family}`].join(';')
      return verifyOrigin(origin, config.dedicatedIps, (url) =>
        getThroughProxy(
          new URL(url),
          { proxy, credentials: { username, password: secret } },
          { timeoutMs: VERIFY_TIMEOUT_MS },
        ),
      )
    }),
  )
}

async function viewOf(parts: DiagnosticsParts, spec: OriginSpec): Promise<OriginView> {
  const { config } = parts
  const destination = config.destinations.find(({ name }) => name === spec.name)
  const users = spec.kind === 'saas' ? config.users.slice(0, MOST_VISITORS) : []
  const visitors = await Promise.all(users.map(({ identity }) => visitorOf(parts, spec, identity.email)))
  return {
    name: spec.name,
    kind: spec.kind,
    title: spec.title,
    addresses: destination?.addresses.map((address) => address.public.text) ?? [],
    proxiedByCloudflare: destination?.proxiedByCloudflare ?? false,
    ...(destination?.place === undefined ? {} : { place: destination.place }),
    ...(spec.kind === 'saas' ? { allow: spec.allow.map(rangeText) } : {}),
    visitors,
  }
}

/** The decision the proxy would make for them, and what the allowlist would make of that. */
async function visitorOf(
  { decider }: DiagnosticsParts,
  { name, allow }: OriginSpec,
  user: string,
): Promise<PortalUser> {
  try {
    const options = { user, protocol: 'tcp', coloDown: [] } as const
    const [{ explanation, virtualNetwork }] = await explainConnection(decider, `https://${name}/`, options)
    const { outcome, rule, reason, egress } = explanation.decision
    const address = egress?.ipv4 ?? egress?.ipv6
    const source = address === undefined ? undefined : parseIp(address)
    return {
      user,
      vnet: virtualNetwork,
      outcome,
      rule: rule?.name ?? null,
      egress: address ?? null,
      letIn: letsIn({ name, addresses: [], allow }, source),
      reason,
    }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    return { user, vnet: '', outcome: '', rule: null, egress: null, letIn: false, reason: thrown.message }
  }
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
}

/** Addresses of the console's views: each is the one page, which shows the view by its address. */
const VIEWS = [
  '/',
  '/sessions',
  '/rules',
  '/matrix',
  '/explain',
  '/verify',
  '/connect',
  '/account',
  '/clock',
  '/history',
  '/fleet',
]

/** Path → file. `base`: what stands before every path in the browser. */
export function readConsole(
  base = '',
  folder = join(ownFolder(), 'console', 'dist'),
): (path: string) => SessionPage | undefined {
  const files = new Map(filesBelow(folder).map((path) => [`/${path}`, pageOf(join(folder, path), base)]))
  const index = files.get('/index.html') ?? NOT_BUILT
  for (const view of VIEWS) files.set(view, index)
  files.set('/me', files.get('/me.html') ?? NOT_BUILT)
  return (path) => files.get(path)
}

const NOT_BUILT: SessionPage = {
  contentType: 'text/html; charset=utf-8',
  body: '<!doctype html><html lang="en"><title>egresslab</title><p>The console is not built: run <code>npm run build:console</code> and restart. The API works without it.',
}

/** Pages name their files, and tell their scripts, by where they are in the browser. */
function pageOf(file: string, base: string): SessionPage {
  const isPage = extname(file) === '.html'
  const body = isPage ? readFileSync(file, 'utf8').replaceAll('"./', `"${base}/`) : readFileSync(file)
  return {
    contentType: CONTENT_TYPES[extname(file)] ?? 'application/octet-stream',
    body,
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    immutable: /[/\\]assets[/\\]/.test(file),
  }
}

function filesBelow(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile() && extname(entry.name) in CONTENT_TYPES)
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(folder.length + 1)
          .replaceAll('\\', '/'),
      )
  } catch {
    return []
  }
}
