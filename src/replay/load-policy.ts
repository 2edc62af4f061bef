// Loads rules and the configuration around them, ready to decide recorded sessions: a configuration, or one with a separate rules file.

import type { LabConfig } from '../config/lab-config.ts'
import { loadConfig } from '../config/load.ts'
import { createCategoryTable } from '../config/read-destinations.ts'
import { allowlistsOf } from '../decider/decider.ts'
import { unexpectedNotice } from '../decider/read-config.ts'
import { createDnsClient } from '../dns/dns-client.ts'
import { createResolver } from '../dns/resolver.ts'
import { bundledGeoSources, isProxiedByCloudflare, openGeoDatabase } from '../geo/database.ts'
import { cidr } from '../net/cidr.ts'
import { type Ip, ip } from '../net/ip.ts'
import type { Candidate } from '../proxy/stage-values.ts'
import { createStore } from '../store/store.ts'
import type { ReplaySide } from './replayer.ts'
import { createRecordedFlowReader } from './session-flow.ts'

/** Where rules come from. `rulesFile`: in place of the configuration's own. */
export interface RulesOrigin {
  readonly configFile: string
  readonly rulesFile?: string
}

/** Loads a side. Throws an InputError. */
export function loadReplaySide({ configFile, rulesFile }: RulesOrigin): ReplaySide {
  return replaySideOf(loadConfig(configFile, rulesFile === undefined ? {} : { rulesFile }))
}

function replaySideOf(config: LabConfig): ReplaySide {
  const store = createStore(config, { onNotice: unexpectedNotice })
  const sources = config.geo.databases.map((path) => ({ path }))
  const geo = openGeoDatabase(sources.length > 0 ? sources : bundledGeoSources(), { changes: 'ignored' })
  const categories = createCategoryTable(config.categories)
  const ports = { placeOf: geo.placeOf, categoriesOf: categories, candidateOf: candidates(config, geo.placeOf) }
  return {
    snapshot: store.current(),
    flowOf: createRecordedFlowReader(config, ports),
    allowlists: allowlistsOf(config),
  }
}

const LOOPBACK = { ip: ip('127.0.0.1'), port: 0 }

/** What the proxy's own resolver says of an address. A recording is not asked whether it may go there: it did. */
function candidates(config: LabConfig, placeOf: ReturnType<typeof openGeoDatabase>['placeOf']) {
  const guard = { profile: 'lab', allow: [cidr('0.0.0.0/0'), cidr('::/0')], deny: [] } as const
  const resolve = createResolver({
    destinations: config.destinations,
    hosts: new Map(),
    dns: createDnsClient(),
    placeOf,
    guard: { settings: guard, ownSockets: { services: [], origins: [] }, isLocal: () => false },
    isProxiedByCloudflare: (address) => isProxiedByCloudflare(address, config.geo.proxiedByCloudflare),
  })
  const options = {
    transport: 'tcp',
    peer: LOOPBACK,
    virtualNetworkId: '',
    signal: new AbortController().signal,
  } as const
  return (address: Ip, port: number): Candidate => {
    const found = resolve({ kind: 'ip', ip: address, port }, options)
    const [candidate] = found instanceof Promise ? [] : found
    return candidate ?? { destination: { ip: address, port }, dial: { ip: address, port }, proxiedByCloudflare: false }
  }
}
