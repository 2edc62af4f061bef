// Gateway DNS over a policy and an upstream that a test writes down; its sockets are real.

import { onTestFinished } from 'vitest'
import type { ConfiguredTunnel } from '../../src/config/lab-config.ts'
import type { RuleDocument } from '../../src/config/lab-state.ts'
import { createAddressBook, parseHostsFile } from '../../src/dns/address-book.ts'
import { createDnsClient } from '../../src/dns/dns-client.ts'
import { createDnsPolicies } from '../../src/dns/dns-policies.ts'
import { type DnsServerSettings, serveDns } from '../../src/dns/dns-server.ts'
import { createForward } from '../../src/dns/forward.ts'
import { createGatewayDns, type GatewayDns } from '../../src/dns/gateway-dns.ts'
import { PlaceholderTable } from '../../src/dns/placeholder-table.ts'
import { createTunnels } from '../../src/dns/tunnels.ts'
import { cidr } from '../../src/net/cidr.ts'
import type { Endpoint } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import { account, rule, snapshot } from '../policy/build.ts'

export interface ScriptedOptions {
  /** for which the name server may be silent */
  readonly timeoutMs?: number
  /** `traffic` of the one rule there is */
  readonly traffic?: string
  readonly hostSelector?: boolean
  /** `address:port` of the name server behind; without one nobody answers */
  readonly upstream?: string
  readonly range?: string
  /** `dns.https_records: withheld` */
  readonly withholds?: boolean
  /** rules of type `dns` */
  readonly dnsRules?: readonly RuleDocument[]
  /** lab time, epoch ms */
  readonly now?: number
}

export interface ScriptedGatewayDns {
  readonly gatewayDns: GatewayDns
  readonly table: PlaceholderTable
  /** what the operator was told */
  readonly notices: string[]
}

const MAPPED = ['198.51.100.20', '2001:db8:f00::20'].map((text) => ({
  public: ip(text),
  standIn: ip('127.0.0.1'),
  ports: new Map<number, number>(),
}))

/** Knows `wiki.inside.test` and nothing else; every name below `inside.test` is behind it. */
const TUNNEL: ConfiguredTunnel = {
  id: 'tunnel',
  name: 'office',
  networks: [],
  hosts: [{ name: 'wiki.inside.test', addresses: [ip('10.10.0.7')] }],
}

/** `bank.lab.test` and `other.lab.test` are configured; `minded.example.net` is minded too, unless said otherwise. */
export function scriptedGatewayDns(options: ScriptedOptions = {}): ScriptedGatewayDns {
  const {
    traffic = 'net.fqdn.host in {"bank.lab.test" "minded.example.net"}',
    upstream,
    hostSelector = true,
    timeoutMs = 2_000,
  } = options
  const hostnameRoutes = [{ id: 'r', hostname: '*.inside.test', tunnelId: TUNNEL.id, comment: '' }]
  const policy = snapshot(account({ settings: { hostSelector }, hostnameRoutes }), [rule({ traffic })])
  const book = createAddressBook(
    ['bank.lab.test', 'other.lab.test'].map((name) => ({ name, addresses: MAPPED, proxiedByCloudflare: false })),
    parseHostsFile('192.0.2.9 printer'),
  )
  const table = new PlaceholderTable({
    rangeOf: (family) => cidr(family === 4 ? (options.range ?? '100.80.0.0/16') : '2606:4700:cf1:4000::/64'),
    now: () => performance.now(),
  })
  const tunnels = createTunnels([TUNNEL])
  const servers = [upstream ?? '127.0.0.1:1']
  const notices: string[] = []
  const policies = createDnsPolicies(options.dnsRules ?? [], 'default')
  const gatewayDns = createGatewayDns({
    snapshot: () => policy,
    book: () => book,
    tunnels: () => tunnels,
    dns: createDnsClient({ servers, timeoutMs, tries: 1 }),
    forward: createForward({ servers, timeoutMs }),
    table,
    categoriesOf: () => ({ contentCategories: [], applications: [] }),
    withholdsServiceBindings: () => options.withholds ?? false,
    actionFor: (name, type) => policies.actionFor(name, type, new Map(), options.now ?? 0),
    onExhausted: (message) => notices.push(message),
  })
  return { gatewayDns, table, notices }
}

/** Listens on a free port; closed when the test ends. */
export async function listening(
  gatewayDns: Pick<GatewayDns, 'answer'>,
  settings: Partial<DnsServerSettings> = {},
): Promise<Endpoint> {
  const server = await serveDns({ listen: [{ ip: ip('127.0.0.1'), port: 0 }], clients: [], ...settings }, gatewayDns)
  onTestFinished(() => server.close())
  const [endpoint] = server.endpoints
  if (endpoint === undefined) throw new RangeError('it listens somewhere')
  return endpoint
}
