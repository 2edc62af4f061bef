// The API over the running lab: what it may see and do, wired to the parts that see and do it.

import { type ApiPorts, type ApiServer, startApi } from '../api/index.ts'
import { explainConnection, explanationJson } from '../cli/explained.ts'
import type { Desk } from '../cli/services.ts'
import type { ConfiguredUser, LabConfig } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError } from '../errors/issue.ts'
import type { Identifier } from '../identity/identify.ts'
import type { SessionLog } from '../log/session-log.ts'
import { type Ip, ip, parseIp } from '../net/ip.ts'
import type { Place } from '../policy/place.ts'
import type { Listener } from '../proxy/arrival.ts'
import { settleOpenSessions } from '../proxy/colo-outage.ts'
import type { EgressHealth, EgressOutage } from '../proxy/egress-health.ts'
import type { SessionMemory } from '../proxy/session-memory.ts'
import type { Store } from '../store/store.ts'
import type { EngineName } from '../transport/engine.ts'
import { readConsole } from './console-files.ts'
import { createInsight } from './insight.ts'
import type { Traffic } from './traffic.ts'

export interface ApiParts {
  /** asked anew each time: it may be reloaded */
  readonly config: LabConfig
  readonly store: Store
  readonly sessions: SessionLog
  readonly memory: SessionMemory
  readonly traffic: Traffic
  readonly identifier: Identifier
  /** absent: there is no Gateway DNS */
  readonly dns: ApiPorts['dns']
  readonly desk: Desk
  readonly token: ApiPorts['token']
  readonly version: string
  readonly engine: EngineName
  readonly troubles: () => readonly string[]
  readonly health: EgressHealth
  readonly accepting: () => boolean
  /** the doors that are open, with their real ports */
  readonly doors: () => readonly Listener[]
  readonly placeOf: (address: Ip) => Place | undefined
  readonly signIn: ApiPorts['signIn'] | undefined
  readonly notice: (message: string) => void
}

/** Listens and serves. Throws an InputError when the address cannot be bound. */
export async function serveApi(parts: ApiParts): Promise<ApiServer> {
  const { api, file } = parts.config
  try {
    return await startApi(api, portsOver(parts))
  } catch (thrown) {
    const message = `the API cannot listen: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw new InputError([{ severity: 'error', code: 'listen.failed', message, file }])
  }
}

function portsOver(parts: ApiParts): ApiPorts {
  const { store, sessions, traffic, token, notice } = parts
  return {
    plane: store,
    traffic,
    token,
    notice,
    sessions: {
      live: () => traffic.decided().map(({ session }) => session),
      close: (id) => {
        const found = traffic.find(id) !== undefined
        if (found) traffic.cut(id, new GatewayError('relay.killed', 'closed on request of the operator'))
        return found
      },
      settle: async (colo, reset) => {
        await traffic.inForce()
        await traffic.refresh()
        const { sessions: concerned } = settleOpenSessions(traffic, colo, reset)
        return { reset, count: concerned.length }
      },
      recent: () => sessions.recent(),
      subscribe: (listener) => sessions.subscribe(listener),
    },
    insight: createInsight(parts),
    page: readConsole(),
    doors: parts.doors,
    ...(parts.dns === undefined ? {} : { dns: parts.dns }),
    ...(parts.signIn === undefined ? {} : { signIn: parts.signIn }),
    explain: (question) => answerQuestion(parts.desk, question),
    checkUser: (user, password, peer) => checkUser(parts, user, password, peer),
    users: () =>
      parts.config.users.map((user) => ({
        email: user.identity.email,
        name: user.identity.name,
        groups: user.identity.groups.map(({ name }) => name),
        ...placeOf(parts, user),
      })),
    status: {
      version: parts.version,
      engine: parts.engine,
      startedAt: Date.now(),
      counts: () => traffic.counts(),
      troubles: () => [...parts.troubles(), ...parts.health.outages().map(inWords)],
      egressHealth: () => ({ outages: parts.health.outages(), faults: parts.health.faults() }),
      accepting: parts.accepting,
      portUse: () => portUse(traffic),
      portLimit: () => traffic.leases(),
      datagrams: () => traffic.datagrams(),
    },
  }
}

/** Where a person is when nothing else is said: as configured, else where their device's address is. */
function placeOf(
  { config, placeOf: look }: ApiParts,
  { place, defaultDevice }: Pick<ConfiguredUser, 'place' | 'defaultDevice'>,
) {
  const device = config.devices.find((entry) => entry.device.id === defaultDevice)
  const address = device?.device.sourceIp
  const found = place ?? device?.place ?? (address === undefined ? undefined : look(address))
  return found === undefined ? {} : { place: found }
}

async function answerQuestion(desk: Desk, question: Parameters<ApiPorts['explain']>[0]): Promise<unknown> {
  const { destination, protocol = 'tcp', family, colosDown = [], ...rest } = question
  const given = family === undefined ? {} : { family: family === 4 ? ('4' as const) : ('6' as const) }
  return explanationJson(
    await explainConnection(desk, destination, { ...rest, ...given, protocol, coloDown: colosDown }),
  )
}

/** Asks the identify stage itself, as a listener that wants credentials would. */
async function checkUser(
  { identifier, store }: ApiParts,
  username: string,
  password: string,
  peer: string,
): Promise<string | undefined> {
  const knock = {
    protocol: 'http-forward',
    transport: 'tcp',
    listener: { name: 'api', host: '127.0.0.1', port: 0, authentication: 'required' },
    peer: { ip: parseIp(peer) ?? ip('127.0.0.1'), port: 0 },
    credentials: { username, password },
    acceptedAt: store.now(),
  } as const
  try {
    return (await identifier.identify(knock, store.current())).identity?.email
  } catch (thrown) {
    if (thrown instanceof GatewayError) return undefined
    throw thrown
  }
}

function inWords({ egress, code, message }: EgressOutage): string {
  return `connections from ${egress} fail [${code}]: ${message}`
}

/** Each open upstream connection holds one port of its egress address. */
function portUse(traffic: Traffic): { egress: string; used: number }[] {
  const byEgress = Map.groupBy(traffic.decided(), ({ session: { egress } }) => egress.replace(/:\d+$/, ''))
  return [...byEgress].map(([egress, sessions]) => ({ egress, used: sessions.length }))
}
