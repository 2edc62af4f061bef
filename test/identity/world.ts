// A small world of people for identity tests, read by the real loader, and clients of its listeners.

import type { LabConfig } from '../../src/config/lab-config.ts'
import { checkConfigText } from '../../src/config/load.ts'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { InputError } from '../../src/errors/issue.ts'
import { createIdentifier, type Identifier, type IdentifierOptions } from '../../src/identity/identify.ts'
import { ip } from '../../src/net/ip.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'
import type { ClientInfo, Listener } from '../../src/proxy/arrival.ts'
import type { ClientContext } from '../../src/proxy/stage-values.ts'
import { account } from '../policy/build.ts'

const TEXT = `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]
virtual_networks: [{ name: home, default: true }, { name: vnet-AMER }, { name: vnet-EMEA }]
users:
  - { email: alice@example.com, password: "lab-alice", device: alice-laptop, place: LHR }
  - { email: bob@example.com, password: "a:b:c", virtual_network: vnet-EMEA }
  - { email: Zoë@example.com, password: "påss wörd 😀" }
  - { email: ghost@example.com }
devices:
  - { name: alice-laptop, user: alice@example.com, source_ip: 81.2.69.142 }
  - { name: alice-phone, user: alice@example.com, source_ip: 81.2.69.143, place: AMS, internal_source_ip: 10.0.0.7 }
  - { name: kiosk, source_ip: 86.80.1.2 }
sources:
  - { network: 127.0.9.0/24, virtual_network: vnet-AMER }
  - { network: 127.0.9.1/32, user: bob@example.com, device: kiosk }
`

export const CONFIG: LabConfig = load(TEXT)

function load(text: string): LabConfig {
  const { config, issues } = checkConfigText('world.yaml', text)
  if (config === undefined) throw new InputError(issues)
  return config
}

/** The id of a virtual network of the world. */
export function network(name: string): string {
  const found = CONFIG.virtualNetworks.find((one) => one.name === name)
  if (found === undefined) throw new RangeError(`no virtual network ${name}`)
  return found.id
}

export const SNAPSHOT: Snapshot = createSnapshot(
  1,
  account({ virtualNetworks: CONFIG.virtualNetworks }),
  compileRuleset([], [], { hostSelector: true, expressions: 'default' }).ruleset,
)

export const MAIN: Listener = { name: 'main', host: '127.0.0.1', port: 8080, authentication: 'required' }

/** A client of `main`, from 127.0.0.1:50000, without credentials unless given. */
export function clientInfo(changes: Partial<ClientInfo> & { readonly peerIp?: string } = {}): ClientInfo {
  const { peerIp = '127.0.0.1', ...rest } = changes
  return {
    protocol: 'http-connect',
    transport: 'tcp',
    listener: MAIN,
    peer: { ip: ip(peerIp), port: 50_000 },
    acceptedAt: 0,
    ...rest,
  }
}

/** A client with this user name; the password defaults to alice's. */
export function clientAs(
  username: string,
  password = 'lab-alice',
  changes: Parameters<typeof clientInfo>[0] = {},
): ClientInfo {
  return clientInfo({ credentials: { username, password }, ...changes })
}

/** A back-off nobody waits for. */
export const IMPATIENT: NonNullable<IdentifierOptions['patience']> = {
  backOff: { delayMs: () => 0, failed: () => undefined, succeeded: () => undefined },
  wait: async () => undefined,
}

export function identifier(options: Partial<IdentifierOptions> = {}): Identifier {
  return createIdentifier({
    people: CONFIG,
    placeOf: () => undefined,
    chosenVirtualNetwork: () => undefined,
    patience: IMPATIENT,
    ...options,
  })
}

export async function contextOf(by: Identifier, at: ClientInfo): Promise<ClientContext> {
  return await by.identify(at, SNAPSHOT)
}

/** What identification is refused with: code and message. */
export async function refusal(by: Identifier, at: ClientInfo): Promise<string> {
  try {
    await by.identify(at, SNAPSHOT)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return `${thrown.code}: ${thrown.message}`
    throw thrown
  }
  return 'let in'
}
