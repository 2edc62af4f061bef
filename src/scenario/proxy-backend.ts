// A scenario on a whole lab of its own: free ports, stand-ins apart from other labs', state in memory, and users who really
// connect through its proxy. The backend gives every user a password it knows.

import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionFate, Observation } from '../analysis/scenario-timeline.ts'
import { type LabConfig, Secret } from '../config/lab-config.ts'
import { allowlistsOf } from '../decider/decider.ts'
import { getThroughProxy, openTunnel, type ProxyAccess } from '../decider/proxy-client.ts'
import { readConfig } from '../decider/read-config.ts'
import { CONNECTION_ERRORS } from '../errors/catalogue.ts'
import { type LoopbackNetwork, reserveLoopbackNetwork } from '../lab/loopback-network.ts'
import { type StartedLab, startLab } from '../lab/start-lab.ts'
import { parseIp } from '../net/ip.ts'
import { createExitTable } from '../outbound/configured-egress.ts'
import { type Allowlists, letsIn } from '../policy/allowlist.ts'
import { type Egress, nameOfEgress } from '../policy/decision.ts'
import { explainDecision } from '../policy/explain.ts'
import { applyColoOutage, type RecentSession } from '../proxy/live-sessions.ts'
import {
  applyChange,
  type BackendChange,
  type HeldConnectionFate,
  loginOf,
  type OutageOfEgress,
  type ScenarioBackend,
} from './backend.ts'
import { type LocalExits, startLocalExits } from './local-exits.ts'
import { destinationOf, type ScenarioRequestStep } from './scenario.ts'

export interface ProxyBackendOptions {
  readonly configFile: string
  readonly machineTime: () => number
  readonly onOutage: OutageOfEgress
}

/** A bound for what would otherwise hang, not a measure of the proxy: a busy machine may take its time. */
const TIMEOUT_MS = 60_000

const NO_ANSWER = { status: 0, body: '' }

/** Starts the lab. Throws an InputError. */
export async function openProxyBackend(options: ProxyBackendOptions): Promise<ScenarioBackend> {
  const { configFile, machineTime, onOutage } = options
  const state = mkdtempSync(join(tmpdir(), 'egresslab-scenario-'))
  const password = randomUUID()
  const exits = await startLocalExits(readConfig(configFile).config.exits)
  const standIns = await reserveLoopbackNetwork()
  const lost = new Set<string>()
  const adjust = (config: LabConfig): LabConfig => ({
    ...config,
    exits: exits.exits,
    users: config.users.map((user) => ({ ...user, password: { kind: 'plain', text: new Secret(password) } })),
  })
  try {
    const lab = await startLab({
      configFile,
      state,
      ephemeral: true,
      portsFromZero: true,
      standInNetwork: standIns.network,
      machineTime,
      adjust,
      onOutage,
      isLost: (egress) => lost.has(nameOfEgress(egress)),
    })
    return new ProxyBackend({ lab, exits, lost, password, state, standIns })
  } catch (thrown) {
    await exits.close()
    standIns.release()
    rmSync(state, { recursive: true, force: true })
    throw thrown
  }
}

interface Parts {
  readonly lab: StartedLab
  readonly exits: LocalExits
  /** names of egress addresses whose stand-ins are taken for lost */
  readonly lost: Set<string>
  readonly password: string
  readonly state: string
  readonly standIns: LoopbackNetwork
}

/** A tunnel that stays open. */
interface Held {
  readonly request: ScenarioRequestStep
  readonly observation: Observation
  readonly egress: Egress
  readonly socket: Socket
  readonly ended: Promise<RecentSession>
}

class ProxyBackend implements ScenarioBackend {
  readonly mode = 'proxy'
  readonly #parts: Parts
  readonly #authority: string
  readonly #allowlists: Allowlists
  readonly #held = new Map<string, Held>()

  constructor(parts: Parts) {
    this.#parts = parts
    this.#authority = readFileSync(parts.lab.authorityFile, 'utf8')
    this.#allowlists = allowlistsOf(parts.lab.config)
  }

  now(): number {
    return this.#parts.lab.store.now()
  }

  async apply(change: BackendChange): Promise<{ what: string; held: HeldConnectionFate[] }> {
    const { lab, exits, lost } = this.#parts
    if (change.kind === 'exit') {
      await exits.set(change.address, change.up)
      const what = `the exit of ${change.address} ${change.up ? 'works again' : 'fails'}`
      return { what, held: change.up ? [] : await this.#lose((egress) => this.#leavesBy(egress, change.address)) }
    }
    if (change.kind === 'stand-in') {
      if (change.up) lost.delete(change.address)
      else lost.add(change.address)
      return { what: `the stand-in of ${change.address} ${change.up ? 'works again' : 'fails'}`, held: [] }
    }
    const what = applyChange(lab.store, change)
    if (change.kind !== 'colo' || change.up) return { what, held: [] }
    const { sessions } = applyColoOutage(lab.pipeline.sessions, change.code, change.reset)
    return {
      what,
      held: await this.#fates(
        sessions.map(({ id }) => id),
        change.reset ? 'reset' : 'kept',
      ),
    }
  }

  async send(request: ScenarioRequestStep): Promise<Observation> {
    const url = urlOf(request)
    const ended = this.#nextEnd()
    const options = { headers: { accept: 'application/json' }, timeoutMs: TIMEOUT_MS }
    // the session record says why there is no answer
    const answer = await getThroughProxy(url, this.#accessOf(request), options).catch(() => NO_ANSWER)
    return this.#observationOf(request, await ended, answer)
  }

  async hold(request: ScenarioRequestStep): Promise<{ observation: Observation; held: boolean }> {
    const { sessions } = this.#parts.lab.pipeline
    const opened = Promise.withResolvers<string>()
    const stop = sessions.subscribe(({ session }) => opened.resolve(session.id))
    const failed = this.#nextEnd()
    const { status, socket } = await openTunnel(urlOf(request), this.#accessOf(request), TIMEOUT_MS)
    stop()
    if (status !== 200) {
      socket.destroy()
      return { observation: this.#observationOf(request, await failed, { status, body: '' }), held: false }
    }
    failed.forget()
    const id = await opened.promise
    const decided = sessions.find(id)?.decided
    const egress = decided?.decision.egress ?? null
    if (decided === undefined || egress === null) throw new RangeError('an open session has an egress address')
    const { decision, flow } = decided
    const service = this.#allowlists.find(flow.host, flow.destination.ip.text)
    const letIn = service === undefined ? null : letsIn(service, egress.address)
    const observation = { ...who(request), decision: explainDecision(decision), status, letIn, seenIn: null }
    const ended = this.#endOf(id)
    this.#held.set(id, { request, observation, egress, socket, ended })
    return { observation, held: true }
  }

  async close(): Promise<void> {
    const { lab, exits, state, standIns } = this.#parts
    for (const { socket } of this.#held.values()) socket.destroy()
    this.#held.clear()
    await lab.pipeline.sessions.empty()
    await lab.close()
    await exits.close()
    standIns.release()
    rmSync(state, { recursive: true, force: true })
  }

  #accessOf({ endpoint, ...request }: ScenarioRequestStep): ProxyAccess {
    const { lab, password } = this.#parts
    const named = lab.listeners.find(({ name, endpoint: own }) => [name, own?.name, own?.host].includes(endpoint))
    const listener = (endpoint === undefined ? undefined : named) ?? lab.listeners[0]
    if (listener === undefined) throw new RangeError('a lab has at least one listener')
    const username = loginOf({ ...request, destination: '' })
    const { host, port, tls } = listener
    return {
      proxy: { host, port, tls: tls?.mode === 'required' },
      authority: this.#authority,
      ...(username === '' ? {} : { credentials: { username, password } }),
    }
  }

  #observationOf(
    request: ScenarioRequestStep,
    { record, decided }: RecentSession,
    { status, body }: { status: number; body: string },
  ): Observation {
    const { error, exit } = record.Lab
    const flow = decided?.flow
    const service = flow === undefined ? undefined : this.#allowlists.find(flow.host, flow.destination.ip.text)
    const facts = factsIn(body)
    const failed = error !== undefined && record.BytesReceived === 0
    return {
      ...who(request),
      ...(decided === undefined ? {} : { decision: explainDecision(decided.decision) }),
      ...(failed ? { error } : {}),
      // behind an exit elsewhere a site sees that machine's address, which is its affair
      ...(facts.address === undefined || exit !== undefined ? {} : { sawFrom: facts.address }),
      status: status === 0 && error !== undefined ? CONNECTION_ERRORS[error.code].http : status,
      letIn: service === undefined || failed ? null : letsIn(service, parseIp(record.EgressIP)),
      seenIn: facts.country ?? null,
    }
  }

  /** The fates of held connections: those that were reset have ended before this resolves. */
  async #fates(ids: readonly string[], fate: ConnectionFate): Promise<HeldConnectionFate[]> {
    const fates: HeldConnectionFate[] = []
    for (const id of ids) {
      const held = this.#held.get(id)
      if (held === undefined) continue
      const { request, observation, egress, ended } = held
      const why = fate === 'kept' ? observation.decision?.reason : (await ended).record.Lab.error?.message
      if (fate !== 'kept') this.#held.delete(id)
      fates.push({
        request,
        who: observation,
        egress: egress.address.text,
        fate,
        why: why ?? 'the connection was closed',
      })
    }
    return fates
  }

  #lose(isConcerned: (egress: Egress) => boolean): Promise<HeldConnectionFate[]> {
    const ids = [...this.#held].filter(([, { egress }]) => isConcerned(egress)).map(([id]) => id)
    return this.#fates(ids, 'lost')
  }

  #leavesBy(egress: Egress, address: string): boolean {
    return createExitTable(this.#parts.exits.exits)(egress)?.realises.includes(address) === true
  }

  /** The next session to end that is not a held one; the wait ends with an error when it takes too long, or is forgotten. */
  #nextEnd(): Promise<RecentSession> & { forget: () => void } {
    const late = new AbortController()
    const ended = this.#when(({ record }) => !this.#held.has(record.SessionID), late.signal)
    const message = `no session ended within ${TIMEOUT_MS / 1000} s`
    const timer = setTimeout(() => late.abort(new Error(message)), TIMEOUT_MS)
    const settled = ended.finally(() => clearTimeout(timer))
    return Object.assign(settled, {
      forget: () => {
        settled.catch(() => undefined)
        late.abort()
      },
    })
  }

  /** However long it stays open. */
  #endOf(id: string): Promise<RecentSession> {
    return this.#when(({ record }) => record.SessionID === id)
  }

  #when(isIt: (session: RecentSession) => boolean, signal?: AbortSignal): Promise<RecentSession> {
    const { promise, resolve, reject } = Promise.withResolvers<RecentSession>()
    const stop = this.#parts.lab.memory.subscribe((session) => {
      if (!isIt(session)) return
      stop()
      resolve(session)
    })
    signal?.addEventListener('abort', () => {
      stop()
      reject(signal.reason)
    })
    return promise
  }
}

function who(request: ScenarioRequestStep): Pick<Observation, 'login' | 'destination'> {
  return { login: loginOf(request), destination: request.destination }
}

function urlOf({ destination }: ScenarioRequestStep): URL {
  const url = destinationOf(destination)
  if (url === undefined) throw new RangeError(`\`${destination}\` was checked to be a destination`)
  return url
}

/** What test origins say in JSON of whom they see. */
function factsIn(body: string): { readonly address?: string; readonly country?: string } {
  try {
    const { address, geolocation, country } = Object(JSON.parse(body))
    const seen = country ?? Object(geolocation).country
    return {
      ...(typeof address === 'string' ? { address } : {}),
      ...(typeof seen === 'string' ? { country: seen } : {}),
    }
  } catch {
    return {}
  }
}
