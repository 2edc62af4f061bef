// The lab, started in stages: configuration, state, compiled policy, preflight of every address, certificates and geo data,
// origins, API, listeners. Nothing listens before the policy is valid and every address has been tried; a stage that fails
// takes everything before it down again. It stops in the reverse order: refuse, drain, close, flush.

import { randomBytes } from 'node:crypto'
import type { ApiServer } from '../api/index.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { RawDestination } from '../config/lab-schema.ts'
import type { LabSnapshot } from '../config/lab-state.ts'
import { ownVersion } from '../config/own-package.ts'
import { consoleUrl, ownUrl } from '../config/read-api.ts'
import { endpointsAt, type OpenedSockets } from '../decider/configured-sockets.ts'
import { createDecisionContext, type Decider, deciderOver } from '../decider/decider.ts'
import { openStore } from '../decider/open-store.ts'
import { type ReadOptions, readConfig } from '../decider/read-config.ts'
import type { Issue } from '../errors/issue.ts'
import { attributionOf } from '../geo/database.ts'
import { type SiteView, siteViewOf } from '../geo/site-view.ts'
import { ownPagesOf, VOUCHER_FIELD } from '../inbound/own-pages.ts'
import { createEventLog, type EventLog, tellIssue } from '../log/event-log.ts'
import type { SessionLog } from '../log/session-log.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { OnOriginRequest } from '../origins/origin-request.ts'
import { startOrigins } from '../origins/serve.ts'
import { startUdpEcho } from '../origins/udp-echo.ts'
import { learnFrom, type OnOutage, watchEgressHealth } from '../outbound/egress-health.ts'
import type { Egress } from '../policy/decision.ts'
import type { Listener } from '../proxy/arrival.ts'
import { RecentSessions } from '../proxy/live-sessions.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'
import { memoryJournal } from '../store/journal.ts'
import { openJournal } from '../store/sqlite-journal.ts'
import type { Store } from '../store/store.ts'
import { passingLeaf } from '../tls/development-certificates.ts'
import type { CertifiedKey } from '../tls/issue-certificates.ts'
import { chooseEngine, type EngineChoice } from '../transport/choose-engine.ts'
import type { EngineName } from '../transport/engine.ts'
import { AddedOrigins } from './added-origins.ts'
import { createApiEndpoints } from './api-endpoints.ts'
import { serveApi } from './api-ports.ts'
import {
  certificatesFor,
  openApiCertificate,
  openCertificatesFolder,
  openListenerCertificates,
} from './certificates.ts'
import { createDataPlane, type DataPlane } from './data-plane.ts'
import { openFleet } from './fleet-member.ts'
import { type FollowedConfig, followConfig } from './follow-config.ts'
import { dnsPort, openDns } from './open-gateway-dns.ts'
import { openSignIn } from './open-sign-in.ts'
import { checkAddressesAndPorts } from './preflight.ts'
import { createReadiness, troublesOf } from './readiness.ts'
import { countRuleUses, openLogpush, openOtlp, openSessionLog, sessionsFile } from './session-sinks.ts'
import { openTeam, shownToken } from './team.ts'
import { proxyUrl } from './thread-data-plane.ts'
import type { WorkerPool } from './workers/worker-pool.ts'

/** `portsFromZero`, `standInNetwork`: for labs beside other labs (tests, the tour). */
export interface LabOptions extends StartOptions, ReadOptions {
  /** epoch ms; default: the machine's */
  readonly machineTime?: () => number
  /** called when an egress address fails by itself, and when it works again */
  readonly onOutage?: OnOutage
  /** egress addresses whose stand-ins are taken for lost, as a scenario plays it */
  readonly isLost?: (egress: Egress) => boolean
  /** the lab's own log; default: nothing is said */
  readonly events?: EventLog
  /** the API's token, where it is given from outside */
  readonly apiToken?: string
  /** folder of the development certificates; default: see {@link openCertificatesFolder} */
  readonly certificates?: string
  /** false: the configuration is what it was at the start, whatever becomes of its file */
  readonly followsFile?: boolean
  /** hears of every request to a test origin, once it is answered */
  readonly onRequest?: OnOriginRequest
}

/** What tests and commands in the same process may use besides. */
export interface StartedLab extends RunningLab {
  /** the API's token as it is now */
  readonly token: () => string
  /** Replaces the destinations beside those of the configuration, and the test origins among them. Resolves when new connections
   *  find them. Throws an InputError; then nothing has changed. */
  readonly changeDestinations: (destinations: readonly RawDestination[]) => Promise<void>
  readonly store: Store
  readonly pipeline: ConnectionPipeline
  readonly sessions: SessionLog
  /** where connections are carried by workers */
  readonly pool?: WorkerPool
  /** finished sessions with their decisions */
  readonly memory: RecentSessions
  /** where other sites see an address, at lab time */
  readonly seenFrom: (address: Ip) => SiteView | undefined
}

/** How long waiting log lines get when stopping. */
const FLUSH_MS = 2000

/** Finished sessions kept with their decisions, for the console and for trying rules on. */
const REMEMBERED_SESSIONS = 5000

/** Starts everything or nothing. Throws an InputError with every problem. */
export async function startLab(options: LabOptions): Promise<StartedLab> {
  const ownEvents = options.events ?? createEventLog({ form: 'line', write: () => undefined })
  const load = { ...options, files: new Map(options.files) }
  const { config, issues } = readConfig(options.configFile, load)
  await using stack = new AsyncDisposableStack()
  const { events, otlp } = await openOtlp(config, ownEvents)
  stack.defer(() => otlp?.close(FLUSH_MS))

  const onNotice = (issue: Issue) => tellIssue(events, issue)
  const harm: Issue[] = []
  const onStateNotice = (issue: Issue) => {
    onNotice(issue)
    if (issue.severity === 'error') harm.push(issue)
  }
  const journal = options.ephemeral ? memoryJournal() : openJournal(options.state, { onNotice: onStateNotice })
  const fleet = await openFleet(config, options, events)
  if (fleet !== undefined) stack.defer(() => fleet.close())
  const store = openStore(config, {
    ...(options.ephemeral ? {} : { kept: { journal, folder: options.state } }),
    ...(fleet === undefined ? {} : { kept: { journal: fleet.journal, folder: options.state }, follows: true }),
    onNotice,
    ...(options.machineTime === undefined ? {} : { machineTime: options.machineTime }),
  })
  stack.defer(() => store.close())
  const engine = chooseEngine(options.engine ?? config.engine ?? 'auto', (message) => events.warn(message))
  await checkAddressesAndPorts(fleet?.withoutOthers(config) ?? config, store.current().account, engine)

  const logpush = openLogpush(config, options, { store, events })
  stack.defer(() => logpush.close(FLUSH_MS))
  const sessions = await openSessionLog(config, options, events, logpush)
  stack.defer(() => sessions.close(FLUSH_MS))
  const ruleUses = await countRuleUses(config, options, { store, events, sessions })
  stack.defer(() => ruleUses.close())
  if (otlp !== undefined) sessions.subscribe((record) => otlp.session(record))
  const ownSockets: OpenedSockets = { services: [], origins: [] }
  const workers = workersFor(options, config)
  const context = await createDecisionContext({
    config,
    store,
    ownSockets,
    onNotice,
    ...(workers === 1 ? {} : { geoContents: 'shared' }),
  })
  stack.defer(() => context.close())
  const certificatesIn = openCertificatesFolder(options)
  stack.defer(certificatesIn.remove)
  const [certificates] = await Promise.all([certificatesFor(config, certificatesIn.folder), context.geo.load()])
  const listenerCertificates = openListenerCertificates(config.listeners, certificates.leaf, events)
  stack.defer(() => listenerCertificates.close())
  const apiCertificate = openApiCertificate(config.api, certificates.leaf, events)
  stack.defer(() => apiCertificate?.close())

  const memory = new RecentSessions(REMEMBERED_SESSIONS)
  const health = watchEgressHealth(() => store.now(), events, options.onOutage)
  const egress = {
    onAttempt: health.attempted,
    ...(options.isLost === undefined ? {} : { isLost: options.isLost }),
    ...(fleet === undefined ? {} : { memberOf: fleet.memberOf }),
  }
  let opened: Pick<ApiServer, 'port' | 'forProxy'> = { port: config.api.port, forProxy: config.api }
  const secret = randomBytes(32).toString('base64url')
  const signIn = openSignIn(config, { apiPort: () => opened.port, now: () => store.now() })
  const plane: DataPlane = createDataPlane({
    config,
    workers,
    engine,
    load,
    loaded: () => followed,
    store,
    context,
    sessions,
    memory,
    events,
    egress,
    ownSockets,
    listenerCertificates,
    certificates: certificatesIn.folder,
    signIn,
    ownPages: () => ownPagesOf(config, opened, secret),
    ...(fleet === undefined ? {} : { annotate: (record) => fleet.annotate(record) }),
  })
  fleet?.follow(store, () => plane.pipeline.sessions.size)
  if (plane.pool !== undefined) memory.subscribe((session) => learnFrom(session, health))
  const { publicSourceOf, traffic, pipeline } = plane
  const serveOrigins = (
    { origins, destinations }: Pick<LabConfig, 'origins' | 'destinations'>,
    certificate: CertifiedKey,
  ) =>
    startOrigins({
      specs: origins,
      destinations,
      certificate,
      proxy: proxyUrl(config),
      publicSourceOf: publicSourceOf.tcp,
      siteViewOf: (address, at) => siteViewOf(store.current().tables, context.ports.placeOf, address, at),
      now: () => store.now(),
      attribution: attributionOf(context.geo.files()),
      onRequest: options.onRequest,
    })
  const origins = await serveOrigins(config, certificates.leaf)
  stack.defer(() => origins.close())
  const udpEcho = await startUdpEcho({
    specs: config.origins,
    destinations: config.destinations,
    publicSourceOf: publicSourceOf.udp,
  })
  stack.defer(() => udpEcho.close())
  ownSockets.origins.push(...origins.listeners.map(({ at }) => at), ...udpEcho.endpoints)

  const followed: FollowedConfig = followConfig({
    config,
    load,
    given: options.files ?? new Map(),
    isWatched: options.followsFile !== false,
    store,
    context,
    events,
    engine,
    ...(fleet === undefined ? {} : { admits: (next: LabConfig) => fleet.admits(next) }),
    onTaken: () => plane.configTaken(),
  })
  stack.defer(() => followed.close())
  const added = new AddedOrigins({
    followed,
    serve: async (spec, destinations) => {
      const names = { folder: certificatesIn.folder, names: [spec.name], now: Date.now() }
      return serveOrigins({ origins: [spec], destinations }, await passingLeaf(names))
    },
    ownSockets,
  })
  stack.defer(() => added.close())
  const decider = deciderOver({
    get config() {
      return followed.config
    },
    issues,
    store,
    context,
    close: () => undefined,
  })
  const team = openTeam(config, options, { journal, store, events })
  stack.defer(() => team.close(FLUSH_MS))
  // what is made at the API exists at every member, and a listener would at one
  const endpoints = createApiEndpoints({ store, open: fleet === undefined ? plane.openOne : undefined, events })
  let accepting = false
  let listeners: readonly Listener[] = []
  const readiness = createReadiness({
    store,
    sessions,
    traffic,
    accepting: () => accepting,
    listening: () => [...listeners, ...context.dnsEndpoints.map(({ ip, port }) => ({ host: ip.text, port }))],
  })
  const api = await serveApi({
    get config() {
      return followed.config
    },
    store,
    sessions,
    ruleUses,
    memory,
    health,
    traffic,
    identifier: context.identifier,
    dns:
      context.gatewayDns === undefined
        ? undefined
        : dnsPort(context.gatewayDns, config.dns?.clients ?? [], context.dnsEndpoints),
    decider,
    ...team,
    version: ownVersion(),
    engine: engine.name,
    unready: readiness.unready,
    troubles: async () => [
      ...troublesOf(followed, harm, sessions),
      ...traffic.troubles(),
      ...(fleet?.troubles() ?? []),
      ...(await readiness.unready()),
    ],
    listeners: () => [...listeners, ...(endpoints?.listeners() ?? [])],
    authority: () => certificates.authority,
    endpoints,
    geo: context.geo,
    signIn: signIn?.page,
    voucher: { field: VOUCHER_FIELD, secret },
    logpush,
    fleet: fleet?.port,
    tls: apiCertificate,
    notice: (message) => events.warn(message),
  })
  stack.defer(() => api.close())
  opened = api
  ownSockets.services.push(...endpointsAt(api.host, api.port))

  if (context.gatewayDns !== undefined) {
    const dns = await openDns(config, context.gatewayDns, (message) => events.warn(message))
    stack.defer(() => dns.close())
    context.dnsEndpoints.splice(0, Number.POSITIVE_INFINITY, ...dns.endpoints)
    ownSockets.services.push(...dns.endpoints)
  }

  // a lab that stops is not in trouble
  otlp?.measure(async () => (await api.metrics()).filter(({ name }) => accepting || name !== 'egresslab_troubles'))
  stack.defer(() => otlp?.endMetrics(FLUSH_MS))
  stack.defer(() => plane.stop())
  listeners = await plane.open()
  if (endpoints !== undefined) stack.defer(await endpoints.resume())
  await fleet?.join({ store, context, dataPath: plane.dataPath })
  accepting = true

  const everything = stack.move()
  return {
    config,
    issues,
    snapshot: () => store.current(),
    listeners,
    api: { host: api.host, port: api.port },
    apiUrl: ownUrl(config.api, api.port),
    consoleUrl: consoleUrl(config.api, api.port),
    dns: context.dnsEndpoints,
    apiToken: shownToken(team.token),
    token: () => team.token.current(),
    changeDestinations: (destinations) => added.change(destinations),
    engine: engine.name,
    authorityFile: certificates.authorityFile,
    ...(options.ephemeral ? {} : { sessionsFile: sessionsFile(options.state) }),
    decider,
    reload: () => followed.reload(),
    store,
    pipeline,
    sessions,
    memory,
    ...(plane.pool === undefined ? {} : { pool: plane.pool }),
    seenFrom: (address) => siteViewOf(store.current().tables, context.ports.placeOf, address, store.now()),
    close: () => {
      accepting = false
      return everything.disposeAsync()
    },
  }
}

/** A lab that is steered from its own process, with a clock or outages of its own, carries its connections itself. */
function workersFor({ workers, machineTime, isLost, onOutage, adjust }: LabOptions, config: LabConfig): number {
  if (config.fleet !== undefined) return 1
  const steered = [machineTime, isLost, onOutage, adjust].some((given) => given !== undefined)
  return steered ? 1 : (workers ?? config.workers ?? 1)
}

export interface RunningLab {
  readonly config: LabConfig
  readonly issues: readonly Issue[]
  readonly snapshot: () => LabSnapshot
  /** with the ports really listening */
  readonly listeners: readonly Listener[]
  readonly api: { readonly host: string; readonly port: number }
  /** `http://127.0.0.1:8090`, for programs on this machine */
  readonly apiUrl: string
  /** for people, without a slash at the end: the public one where there is one */
  readonly consoleUrl: string
  /** where Gateway DNS listens, UDP and TCP; empty: there is none */
  readonly dns: readonly Endpoint[]
  /** `file`: where it can be read; absent where it was given from outside or lives in memory. `made`: the token, where it was made
   *  just now, to be shown this once. */
  readonly apiToken: { readonly file?: string; readonly made?: string }
  /** that carries the connections */
  readonly engine: EngineName
  readonly authorityFile: string
  readonly sessionsFile?: string
  readonly decider: Decider
  /** Reads the configuration file again; the log says what came of it. */
  readonly reload: () => void
  readonly close: () => Promise<void>
}

export interface StartOptions {
  readonly configFile: string
  readonly state: string
  readonly ephemeral: boolean
  /** threads that carry connections; default: as configured */
  readonly workers?: number
  /** how connections enter and leave; default: as configured */
  readonly engine?: EngineChoice
  /** where sessions go beside the file; absent: nowhere */
  readonly sessionsTo?: { readonly form: 'line' | 'ndjson'; readonly colour: boolean }
}
