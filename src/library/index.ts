// The library: a lab in this process for programs and test suites, on free ports and stand-ins of its own, so that labs beside each
// other never meet. Installs no signal handler, never ends the process, and prints nothing.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { ExplanationShape } from '../api/shapes/explanations.ts'
import type { JsonObject } from '../config/lab-state.ts'
import { shippedConfig } from '../config/own-package.ts'
import { rangesOf } from '../config/rule-document.ts'
import { explainConnection, explanationJson } from '../decider/explain-connection.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { dispatcherTo, labClient, secondsOf } from '../lab/lab-client.ts'
import { reserveLoopbackNetwork } from '../lab/loopback-network.ts'
import { type StartedLab, startLab as startInProcess } from '../lab/start-lab.ts'
import { createEventLog } from '../log/event-log.ts'
import { parseIp } from '../net/ip.ts'
import { type SessionFilter, sessionFilter } from '../proxy/session-filter.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import { ClientAccess } from './access.ts'
import {
  atPath,
  checkOptions,
  FLAG,
  FUNCTION,
  OBJECT,
  oneOf,
  optionError,
  requireText,
  TEXT,
  TEXTS,
  wholeNumber,
  withPaths,
} from './check-options.ts'
import type { ExplainQuery, GatewayRule, Lab, SessionPredicate, StartLabOptions, StoredRule } from './lab.ts'
import { Origins, RequestLog } from './test-origins.ts'

export { GatewayError } from '../errors/gateway-error.ts'
export { InputError, type Issue } from '../errors/issue.ts'
export type {
  ExplainQuery,
  GatewayRule,
  Lab,
  LabFetchInit,
  LabOrigin,
  NewOrigin,
  OriginRequestSeen,
  ProxyChoice,
  SessionPredicate,
  StartLabOptions,
  StoredRule,
} from './lab.ts'
export type { ExplanationShape as Explanation, JsonObject, SessionFilter, SessionRecord }

const OPTIONS = {
  config: { what: 'the path of a file or an object', test: (value: unknown) => TEXT.test(value) || OBJECT.test(value) },
  configFile: TEXT,
  ephemeral: FLAG,
  state: TEXT,
  workers: wholeNumber(1, 64),
  engine: oneOf(['auto', 'linux', 'node']),
  annotate: FLAG,
  signal: { what: 'an AbortSignal', test: (value: unknown) => value instanceof AbortSignal },
  log: FUNCTION,
}
const SESSION_FILTER = { user: TEXT, vnet: TEXT, rule: TEXT, egressIp: TEXT, outcome: TEXT, text: TEXT }
const EXPLAIN_QUERY = {
  destination: TEXT,
  user: TEXT,
  virtualNetwork: TEXT,
  device: TEXT,
  sourceIp: TEXT,
  family: oneOf([4, 6]),
  protocol: oneOf(['tcp', 'udp']),
  listener: TEXT,
  colosDown: TEXTS,
}

/** the name under which an object is read */
const GIVEN_CONFIG = 'config'
const SESSION_PATIENCE_MS = 5_000

/** Starts a lab; resolves when everything listens. Throws an InputError with every problem of the options and of the configuration,
 *  each with its path or its line; then nothing is left behind. */
export async function startLab(options: StartLabOptions = {}): Promise<Lab> {
  checkOptions(options, OPTIONS)
  const { signal, workers, engine, annotate, log } = options
  signal?.throwIfAborted()
  const { ephemeral = options.state === undefined, state = '.egresslab' } = options
  await using stack = new AsyncDisposableStack()
  const standIns = await reserveLoopbackNetwork()
  stack.defer(() => standIns.release())
  const certificates = ephemeral ? mkdtempSync(join(tmpdir(), 'egresslab-')) : join(state, 'certs')
  if (ephemeral) stack.defer(() => rmSync(certificates, { recursive: true, force: true }))
  const requests = new RequestLog()
  const lab = await inProcess(options, {
    state,
    ephemeral,
    certificates,
    portsFromZero: true,
    standInNetwork: standIns.network,
    onRequest: requests.take,
    ...(workers === undefined ? {} : { workers }),
    ...(engine === undefined ? {} : { engine }),
    ...(annotate === undefined ? {} : { annotate }),
    ...(log === undefined ? {} : { events: createEventLog({ form: 'line', write: (text) => log(text.trimEnd()) }) }),
  })
  stack.defer(() => lab.close())
  const access = new ClientAccess(lab, readFileSync(lab.authorityFile, 'utf8'))
  stack.defer(() => access.close())
  const waiting = new AbortController()
  stack.defer(() => waiting.abort())
  signal?.throwIfAborted()
  const everything = stack.move()
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= everything.disposeAsync()
    return closed
  }
  const onAbort = () => void close()
  signal?.addEventListener('abort', onAbort, { once: true })
  everything.defer(() => signal?.removeEventListener('abort', onAbort))
  return publicLab({ lab, access, origins: new Origins(lab, requests), waiting: waiting.signal, close })
}

type InProcessOptions = Omit<Parameters<typeof startInProcess>[0], 'configFile'>

/** Starts it on the configuration that was given, in whatever form. */
async function inProcess({ config, configFile }: StartLabOptions, rest: InProcessOptions): Promise<StartedLab> {
  if (config !== undefined && configFile !== undefined) {
    throw optionError(['configFile'], '`config` and `configFile` are both given', 'give one of them')
  }
  if (typeof config !== 'object')
    return startInProcess({ ...rest, configFile: config ?? configFile ?? shippedConfig() })
  const files = new Map([[GIVEN_CONFIG, new TextEncoder().encode(JSON.stringify(config))]])
  try {
    return await startInProcess({ ...rest, configFile: GIVEN_CONFIG, files, followsFile: false })
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    throw new InputError(
      thrown.issues.flatMap((issue) => (issue.file === GIVEN_CONFIG ? atPath([issue], ['config']) : [issue])),
    )
  }
}

const CLOSED = 'the lab was closed'

interface Parts {
  readonly lab: StartedLab
  readonly access: ClientAccess
  readonly origins: Origins
  /** aborted when the lab closes */
  readonly waiting: AbortSignal
  readonly close: () => Promise<void>
}

function publicLab({ lab, access, origins, waiting, close }: Parts): Lab {
  const api = {
    url: lab.apiUrl,
    dispatcher: dispatcherTo(lab.config.api, lab.authorityFile),
    get token() {
      return lab.token()
    },
  }
  const client = labClient(api, { state: '', withPaths: true })
  const stillOpen = () => {
    if (waiting.aborted) throw new InputError([{ severity: 'error', code: 'library.closed', message: CLOSED }])
  }
  const ask: typeof client.ask = async (...call) => {
    stillOpen()
    return client.ask(...call)
  }
  const rulesPath = `/client/v4/accounts/${lab.config.account.id}/gateway/rules`
  const rules = async () => (await ask('GET', rulesPath)) as StoredRule[]
  const ranges = rangesOf(
    lab.config.dedicatedIps.map(({ ipv4, ipv6 }) => ({ ipv4: ipv4?.address.text, ipv6: ipv6?.range.text })),
  )
  const setClock = async (method: 'PUT' | 'POST' | 'DELETE', path: string, body?: JsonObject) =>
    ((await ask(method, `/lab/v1/clock${path}`, body)) as { readonly time: string }).time
  const setColo = async (code: string, body: JsonObject) => {
    const path = `/lab/v1/colos/${encodeURIComponent(requireText('code', code))}`
    await withPaths(
      () => ['code'],
      () => ask('PUT', path, body),
    )
  }
  return {
    proxyUrl: (choice) => access.proxyUrl(choice),
    fetch: async (url, init) => {
      stillOpen()
      return access.fetch(url, init)
    },
    dispatcher: (choice) => {
      stillOpen()
      return access.dispatcher(choice)
    },
    env: (choice) => access.env(choice),
    caFile: resolve(lab.authorityFile),
    api,
    origins: {
      add: async (origin) => {
        stillOpen()
        return origins.add(origin)
      },
      get: (host) => origins.get(host),
      remove: async (host) => {
        stillOpen()
        return origins.remove(host)
      },
    },
    sessions: {
      list: (filter) => lab.sessions.recent().filter(predicateOf(filter ?? {})),
      waitFor: (filter, { timeoutMs = SESSION_PATIENCE_MS } = {}) =>
        waitForSession(lab, predicateOf(filter), timeoutMs, waiting),
      clear: () => lab.sessions.forget(),
    },
    explain: (query) => explain(lab, query),
    rules: {
      list: rules,
      replace: async (wanted) => {
        if (!Array.isArray(wanted)) throw optionError(['rules'], 'the rules are not a list')
        const body = { rules: wanted.map((rule, at) => ruleBody(rule, ranges, ['rules', at])) }
        // a path that does not say which rule is none
        const pathOf = ({ path }: Issue) => (path?.[0] === 'rules' ? path : ['rules'])
        return (await withPaths(pathOf, () => ask('PUT', '/lab/v1/rules', body))) as StoredRule[]
      },
      add: async (rule) => {
        const body = ruleBody(rule, ranges, [])
        const isShort = rule.egress !== undefined
        const pathOf = ({ path = ['rule'] }: Issue) => (isShort && path[0] === 'rule_settings' ? path.slice(1) : path)
        return (await withPaths(pathOf, () => ask('POST', rulesPath, body))) as StoredRule
      },
      remove: async (wanted) => {
        const found = (await rules()).find(({ id, name }) => id === wanted.toLowerCase() || name === wanted)
        if (found === undefined) throw optionError(['rule'], `there is no rule \`${wanted}\``)
        await ask('DELETE', `${rulesPath}/${found.id}`)
      },
    },
    colos: {
      down: (code, { reset = false } = {}) => setColo(code, { up: false, connections: reset ? 'reset' : 'keep' }),
      up: (code) => setColo(code, { up: true }),
    },
    clock: {
      set: (time) => setClock('PUT', '', { time: typeof time === 'string' ? time : time.toISOString() }),
      advance: (duration) =>
        withPaths(
          () => ['duration'],
          async () => setClock('POST', '/advance', { seconds: secondsOf(requireText('duration', duration)) }),
        ),
      reset: () => setClock('DELETE', ''),
    },
    virtualNetworks: {
      choose: async (user, virtualNetwork) => {
        const path = `/lab/v1/users/${encodeURIComponent(requireText('user', user))}/virtual-network`
        const pathOf = (issue: Issue) => [issue.path?.[0] === 'virtual_network' ? 'virtualNetwork' : 'user']
        await withPaths(pathOf, () => ask('PUT', path, { virtual_network: virtualNetwork }))
      },
    },
    async reset() {
      stillOpen()
      await Promise.all([ask('DELETE', '/lab/v1/overrides'), ask('DELETE', '/lab/v1/rate-limit'), origins.reset()])
      lab.sessions.forget()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function predicateOf(filter: SessionFilter | SessionPredicate): SessionPredicate {
  if (typeof filter === 'function') return filter
  checkOptions(filter, SESSION_FILTER)
  try {
    return sessionFilter(filter)
  } catch (thrown) {
    if (thrown instanceof RangeError) throw optionError(['egressIp'], thrown.message)
    throw thrown
  }
}

function waitForSession(
  { sessions }: StartedLab,
  fits: SessionPredicate,
  timeoutMs: number,
  closing: AbortSignal,
): Promise<SessionRecord> {
  const { promise, resolve: found, reject } = Promise.withResolvers<SessionRecord>()
  let others = 0
  const look = (session: SessionRecord) => {
    try {
      if (fits(session)) found(session)
      else others++
    } catch (thrown) {
      reject(thrown)
    }
  }
  const giveUp = (why: string) =>
    reject(optionError(['filter'], `no session fits: ${why}; finished ones that do not fit: ${others}`))
  const stop = sessions.subscribe(look)
  const late = setTimeout(() => giveUp(`none came within ${timeoutMs} ms`), timeoutMs)
  const onClose = () => giveUp(CLOSED)
  if (closing.aborted) onClose()
  closing.addEventListener('abort', onClose)
  for (const session of sessions.recent()) look(session)
  return promise.finally(() => {
    stop()
    clearTimeout(late)
    closing.removeEventListener('abort', onClose)
  })
}

async function explain({ decider }: StartedLab, query: ExplainQuery): Promise<ExplanationShape> {
  checkOptions(query, EXPLAIN_QUERY)
  requireText('destination', query.destination)
  const {
    destination,
    virtualNetwork: vnet,
    listener: endpoint,
    family,
    protocol = 'tcp',
    colosDown = [],
    ...rest
  } = query
  const options = {
    ...rest,
    protocol,
    coloDown: colosDown,
    ...(vnet === undefined ? {} : { vnet }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(family === undefined ? {} : { family: family === 4 ? ('4' as const) : ('6' as const) }),
  }
  const explained = await withPaths(
    ({ code }) => [QUERY_MEMBERS[code] ?? 'destination'],
    () => explainConnection(decider, destination, options),
  )
  return explanationJson(explained) as ExplanationShape
}

/** Which member of a query an issue is about. */
const QUERY_MEMBERS: Readonly<Record<string, string>> = {
  'explain.unknown_user': 'user',
  'explain.bad_destination': 'destination',
  'explain.unknown_colo': 'colosDown',
  'explain.unknown_endpoint': 'listener',
  'explain.unknown_network': 'virtualNetwork',
  'explain.unknown_device': 'device',
  'explain.bad_source': 'sourceIp',
}

/** As Cloudflare's API takes it. `path`: that of the rule. */
function ruleBody(
  given: GatewayRule,
  ranges: ReadonlyMap<string, string>,
  path: NonNullable<Issue['path']>,
): JsonObject {
  if (!OBJECT.test(given)) throw optionError(path.length === 0 ? ['rule'] : path, 'the rule is not an object')
  const { egress, ...rule } = given
  const body = { enabled: true, action: 'egress', ...(rule as JsonObject) }
  if (egress === undefined) return body
  if (egress === null) return { ...body, rule_settings: null }
  const ipv4 = parseIp(egress.ipv4)?.text ?? ''
  const range = egress.ipv6 ?? ranges.get(ipv4)
  if (range === undefined) {
    const message = `the account has no dedicated IP \`${egress.ipv4}\` with an IPv6 range`
    throw optionError([...path, 'egress', 'ipv4'], message, didYouMean(egress.ipv4, [...ranges.keys()]))
  }
  return { ...body, rule_settings: { egress: { ...egress, ipv6: range } } }
}
