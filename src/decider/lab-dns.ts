// Gateway DNS without its sockets: what it answers from.

import type { DnsSettings } from '../config/lab-config.ts'
import type { LabSnapshot, LabState } from '../config/lab-state.ts'
import type { DnsClient } from '../dns/dns-client.ts'
import { createDnsPolicies, type DnsPolicies } from '../dns/dns-policies.ts'
import { createForward } from '../dns/forward.ts'
import { createGatewayDns, type GatewayDns, type GatewayDnsParts } from '../dns/gateway-dns.ts'
import { type PlaceholderPart, PlaceholderTable } from '../dns/placeholder-table.ts'
import type { Issue } from '../errors/issue.ts'
import { type Cidr, cidr, parseCidr } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Family } from '../net/ip.ts'
import type { AccountSettings } from '../policy/account.ts'
import type { Ports } from '../proxy/pipeline-ports.ts'
import type { Store } from '../store/store.ts'

export interface LabDns extends GatewayDns {
  readonly table: PlaceholderTable
}

export interface LabDnsParts extends Pick<GatewayDnsParts, 'book' | 'tunnels'> {
  readonly store: Pick<Store, 'current' | 'now'>
  readonly dns: DnsClient
  readonly categoriesOf: Ports['categoriesOf']
  readonly upstream: readonly string[] | undefined
  /** where it listens itself, filled in as it comes up */
  readonly own: readonly Endpoint[]
  /** of the placeholders, where other members of a fleet give out the rest */
  readonly part: PlaceholderPart | undefined
  readonly onNotice: (notice: Issue) => void
  /** how much of the product's own gaps is played; read for every query */
  readonly settings: () => Pick<DnsSettings, 'httpsRecords' | 'policies'> | undefined
}

/** An exhausted range is reported at most once in this many milliseconds. */
const REPORT_EVERY_MS = 60000
/** Gateway DNS without its sockets. */
export function createLabDns(parts: LabDnsParts): LabDns {
  const { store, dns, book, tunnels, categoriesOf, upstream, own, onNotice, settings } = parts
  const policiesOf = compiledPolicies(onNotice)
  const table = new PlaceholderTable({
    rangeOf: (family) => rangeOf(store.current(), family),
    part: parts.part,
    now: () => performance.now(),
  })
  let reportedAt = Number.NEGATIVE_INFINITY
  const gatewayDns = createGatewayDns({
    snapshot: () => store.current(),
    book,
    tunnels,
    dns,
    forward: createForward({ own, ...(upstream === undefined ? {} : { servers: upstream }) }),
    table,
    categoriesOf,
    withholdsServiceBindings: () => settings()?.httpsRecords === 'withheld',
    actionFor: (name, type) => {
      if (settings()?.policies === 'ignored') return undefined
      const { state, account, ruleset } = store.current()
      return policiesOf(state.rule, account.settings.expressions).actionFor(name, type, ruleset.lists, store.now())
    },
    onExhausted: (message) => {
      if (performance.now() - reportedAt < REPORT_EVERY_MS) return
      reportedAt = performance.now()
      onNotice({ severity: 'warning', code: 'dns.placeholders_exhausted', message })
    },
  })
  return { ...gatewayDns, table }
}

/** The policies of a version of the rules, compiled once; rules that are left out are told with it. */
function compiledPolicies(onNotice: (notice: Issue) => void) {
  let known: { readonly rules: LabState['rule']; readonly policies: DnsPolicies } | undefined
  let told = ''
  return (rules: LabState['rule'], mode: AccountSettings['expressions']): DnsPolicies => {
    if (known?.rules === rules) return known.policies
    const live = [...rules.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
    const policies = createDnsPolicies(live, mode)
    known = { rules, policies }
    const names = policies.leftOut.map((name) => `\`${name}\``).join(', ')
    if (names !== '' && names !== told) {
      const message = `Gateway DNS leaves out the dns rules ${names}: it evaluates allow, block and override on the name and type of the query, with a schedule only in a time zone`
      onNotice({ severity: 'advice', code: 'dns.rules_left_out', message })
    }
    told = names
    return policies
  }
}

const FRESH: Readonly<Record<Family, Cidr>> = { 4: cidr('100.80.0.0/16'), 6: cidr('2606:4700:cf1:4000::/64') }
/** The range that placeholders of a family come from: as set at the API (`/zerotrust/subnets/initial_resolved_ip`), else as
 *  a fresh account has it. */
export function rangeOf({ state }: LabSnapshot, family: Family): Cidr {
  const stored = state.placeholderSubnet.get(`v${family}`)
  return parseCidr(stored?.value.network ?? '') ?? FRESH[family]
}
