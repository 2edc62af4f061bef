// The preflight before anything listens: binds every stand-in once, checks every port, and reports all problems together
// (LC-03).

import { readdirSync, readFileSync } from 'node:fs'
import type { LabConfig } from '../config/lab-config.ts'
import { configuredServices } from '../decider/configured-sockets.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { OwnPages } from '../inbound/own-pages.ts'
import { parseHost } from '../net/host.ts'
import type { Ip } from '../net/ip.ts'
import { checkLocalAddresses, checkPortFree } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { neededAddresses } from './needed-addresses.ts'

/** Throws an InputError naming every address that cannot be bound and every port that is taken. */
export async function checkAddressesAndPorts(config: LabConfig, account: Account): Promise<void> {
  const ports = configuredServices(config).filter(({ port }) => port !== 0)
  const taken = Promise.all(ports.map(({ ip, port }) => checkPortFree(ip, port)))
  refuseAny(config, [...(await checkLocalAddresses(everyAddress(config, account))), ...(await taken)])
}

/** The same without the ports, for a configuration that is to replace one in force. */
export async function checkAddresses(config: LabConfig, account: Account): Promise<void> {
  refuseAny(config, await checkLocalAddresses(everyAddress(config, account)))
}

function refuseAny({ file }: LabConfig, found: readonly (Issue | undefined)[]): void {
  const issues = found.filter((issue) => issue !== undefined)
  if (issues.length > 0) throw new InputError(issues.map((issue) => ({ ...issue, file })))
}

function everyAddress(config: LabConfig, account: Account): Ip[] {
  return neededAddresses(config, account).flatMap(({ addresses }) => addresses)
}

/** Where the proxy finds the lab's own pages, and the hosts they go by. */
export function ownPagesOf({ api }: Pick<LabConfig, 'api'>, port: number, secret: string): OwnPages {
  const own = EVERYWHERE[api.host] ?? api.host
  const hosts = [api.host, ...(api.names ?? [])].flatMap((text) => {
    const host = parseHost(text)
    return host === undefined ? [] : [host.kind === 'ip' ? host.ip.text : host.name]
  })
  return { api: { host: own, port }, hosts, secret }
}

const EVERYWHERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** What keeps a few descriptors free, as shares of all: for refusing clients, and for the API, logs, DNS and certificates. */
const LANE_SHARE = 1 / 8
const RESERVE_SHARE = 1 / 16
const MOST_IN_LANE = 256
const MOST_RESERVED = 512
/** epoll, event and listening descriptors of one worker thread */
const PER_WORKER = 16

export interface DescriptorFacts {
  /** open files this process may have */
  readonly limit: number
  /** and has, before its listeners are open */
  readonly inUse: number
  readonly workers: number
  /** connections end at test origins of the same process, which need one as well */
  readonly ownOrigins: boolean
}

export interface ClientRoom {
  /** clients that can be served at one time */
  readonly clients: number
  /** clients that can be refused at one time */
  readonly refusedClients: number
}

/** The room there is; at least one client. */
export function roomFor({ limit, inUse, workers, ownOrigins }: DescriptorFacts): ClientRoom {
  const refusedClients = Math.max(8, Math.min(MOST_IN_LANE, Math.floor(limit * LANE_SHARE)))
  const reserved = Math.max(8, Math.min(MOST_RESERVED, Math.floor(limit * RESERVE_SHARE)))
  const own = inUse + (workers === 1 ? 0 : workers * PER_WORKER)
  const left = limit - own - refusedClients - reserved
  return { clients: Math.max(1, Math.floor(left / (ownOrigins ? 3 : 2))), refusedClients }
}

/** As the system says; undefined where it does not. */
export function descriptorsOfThisProcess(): Pick<DescriptorFacts, 'limit' | 'inUse'> | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : { limit: Number(limit), inUse: readdirSync('/proc/self/fd').length }
  } catch {
    return undefined
  }
}
