// The account's part of a configuration file: what it owns and what its rules say. `Static` of RULE is a rule as written,
// with defaults filled in.

import type { Static } from 'typebox'
import { RULE_FILTERS } from '../policy/rule-check.ts'
import { INVARIANT } from './read-invariants.ts'
import {
  amount,
  anyText,
  block,
  flag,
  list,
  listOf,
  nullable,
  oneOf,
  optional,
  or,
  section,
  tableOf,
  text,
  whole,
} from './schema.ts'

/** A UUID; derived from something else if absent. */
export function id(description: string) {
  return text(description, { format: 'uuid', examples: ['8b1d5d3e-2f0a-4c57-9d7e-6a3f1c2b4d5e'] })
}

/** A data center's code, or coordinates. */
export function place(description: string) {
  return or(
    'string',
    block(description, {
      city: optional(text('City.')),
      country: optional(text('ISO 3166 alpha-2 country.', { format: 'country-code' })),
      continent: optional(oneOf('Continent.', ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA'])),
      latitude: amount('Degrees, north positive.', { minimum: -90, maximum: 90 }),
      longitude: amount('Degrees, east positive.', { minimum: -180, maximum: 180 }),
    }),
    {
      format: 'colo-code',
      examples: ['LHR', { city: 'Las Vegas', country: 'US', latitude: 36.17, longitude: -115.14 }],
    },
  )
}

/** A port as clients know it → the real one. */
export function ports(description: string) {
  const real = whole('The real port.', { minimum: 1, maximum: 65535 })
  return tableOf(description, real, { keys: 'port-number', examples: [{ 80: 9001 }] })
}

function exit(description: string) {
  return block(
    `${description} Exactly one of \`socks5\` and \`http\`. If it fails, so does the connection: no other address is used.`,
    {
      socks5: optional(
        text('Address and port of a SOCKS5 proxy, such as `ssh -D`.', {
          format: 'address-and-port',
          examples: ['127.0.0.1:1080'],
        }),
      ),
      http: optional(
        text('Address and port of an HTTP proxy that takes CONNECT.', {
          format: 'address-and-port',
          examples: ['192.0.2.7:3128'],
        }),
      ),
      username: optional(text('For the proxy; sent to nobody else and never logged.', { maxLength: 255 })),
      password: optional(anyText('For the proxy.', { maxLength: 255 })),
    },
  )
}

function localAddresses(description: string) {
  const addresses = listOf(description, text('A local address.', { format: 'ip-address' }), {
    minItems: 1,
    maxItems: 2,
  })
  return or('string', addresses, { format: 'ip-address' })
}

const RULE = block('One Gateway rule.', {
  name: text('Its name, for people.'),
  id: optional(id('UUID. Default: derived from the name.')),
  description: anyText('A remark for people.', { default: '' }),
  enabled: flag('Whether it is looked at.', true),
  precedence: optional(
    whole('Lower is asked first; unique. Default: 1000 for the first rule, else the largest so far and 1000.', {
      minimum: 0,
      maximum: 2147483647,
    }),
  ),
  action: text('`egress`. Rules of other kinds are kept, and never evaluated.', { default: 'egress' }),
  filters: listOf('What kind of traffic it is for: `[egress]`.', oneOf('One filter.', RULE_FILTERS), {
    minItems: 1,
    default: ['egress'],
  }),
  traffic: anyText('Expression over the connection. Empty: any.', { default: '' }),
  identity: anyText('Expression over the user. Empty: any.', { default: '' }),
  device_posture: anyText("Expression over the device's posture checks. Empty: any.", { default: '' }),
  egress: nullable(
    block('Dedicated egress. Absent or null: default shared egress.', {
      ipv4: text("One of the account's dedicated IPv4 addresses.", { format: 'ipv4' }),
      ipv4_fallback: nullable(
        text(
          "Used while the primary's data center is down: another dedicated IPv4, or 0.0.0.0 for shared egress. Absent or null: none, the connection is refused.",
          { format: 'ipv4' },
        ),
        { default: null },
      ),
      ipv6: optional(
        text("One of the account's dedicated IPv6 ranges. Default: that of the dedicated IP with this `ipv4`.", {
          format: 'ipv6-network',
        }),
      ),
    }),
    { default: null },
  ),
})

/** Rules alone, as in a rules file. */
export const RULE_LIST = listOf('Rules.', RULE)

export const ACCOUNT_SECTIONS = {
  account: section('The account everything belongs to.', {
    name: text('Its name, for people.', { default: 'egresslab' }),
    id: optional(
      text('Its id, 32 hex digits. Default: derived from the name, so it is the same at every start.', {
        format: 'account-id',
        examples: ['023e105f4ecef8ad9ca31a8372d0c353'],
      }),
    ),
    home_country: text(
      'ISO 3166 alpha-2 country where databases believe a dedicated IP is until its `geolocation_updated_at` has come.',
      { format: 'country-code', default: 'US' },
    ),
    home_colo: text('Data center used for users without a known location, such as anonymous clients on this machine.', {
      format: 'colo-code',
      default: 'IAD',
    }),
  }),
  settings: section(
    "Switches of the account, named as in Cloudflare's dashboard, and choices where the product's behaviour is not documented.",
    {
      tcp_proxying: flag(
        'Gateway proxies TCP. When off, TCP connections are exempt from egress policies and leave from shared egress.',
        true,
      ),
      udp_proxying: flag(
        'Gateway proxies UDP. When off, UDP is exempt from egress policies and leaves from shared egress.',
        true,
      ),
      host_selector: flag(
        'Rules may look at host names, domains, categories and applications (`net.fqdn.*`, `app.ids`). While off, a rule that does never matches.',
        true,
      ),
      no_rule_matched: oneOf(
        'What happens to a connection that no rule matches: `balanced` over the dedicated IPs, or `default` shared egress.',
        ['balanced', 'default'],
        { default: 'balanced' },
      ),
      expressions: oneOf(
        '`default`: the language as the live product takes it. `lenient`: documented forms the product refuses are taken too, with a warning.',
        ['default', 'lenient'],
        { default: 'default' },
      ),
      balance_tolerance: section(
        'Dedicated IPs whose distance to the user differs by less than this are tied; the larger of the two counts.',
        {
          percent: amount('Share of the nearest distance, in percent.', { minimum: 0, maximum: 100, default: 10 }),
          km: amount('Distance in kilometres.', { minimum: 0, default: 50 }),
        },
      ),
      max_connections_per_destination: whole(
        'Concurrent connections per egress IP, destination address and destination port; the next one is refused.',
        { minimum: 1, maximum: 64000, default: 40000 },
      ),
    },
  ),
  colos_down: list(
    'Codes of data centers that are down when the lab starts (`egresslab colo down CODE` does it later).',
    text("A data center's code.", { format: 'colo-code', examples: ['LHR'] }),
  ),
  addresses: oneOf(
    'Whether egress addresses are bound themselves or by stand-ins, where an entry does not name its own. `auto`: itself where this machine answers for the address (see `egresslab addresses`), else a stand-in. `real`: dedicated addresses themselves, or the lab does not start. `stand-ins`: always stand-ins.',
    ['auto', 'real', 'stand-ins'],
    { default: 'auto' },
  ),
  stand_ins: section(
    'Local addresses that traffic really uses in place of public ones, where an entry does not name its own.',
    {
      network: text(
        "A /16 that this machine answers for. Inside it: dedicated IPv4 at x.x.10.*, dedicated IPv6 at x.x.16.*, IPv4 destinations at x.x.20.*, IPv6 destinations at x.x.26.*, each with the public address's last number where that is free. Give a second lab on one machine another one.",
        { format: 'ipv4-network', default: '127.0.0.0/16' },
      ),
    },
  ),
  dedicated_ips: listOf(
    "The account's dedicated egress IPs, each at one data center.",
    block('One dedicated egress IP: an IPv4 address, an IPv6 range, or both.', {
      colo: text('Code of its data center.', { format: 'colo-code', examples: ['AMS'] }),
      ipv4: optional(text('The public IPv4 address.', { format: 'ipv4', examples: ['203.0.113.10'] })),
      ipv6: optional(
        text('The public IPv6 range, a /64 in the product. Every user gets an address of their own inside it.', {
          format: 'ipv6-network',
          examples: ['2001:db8:10::/64'],
        }),
      ),
      stand_ins: optional(
        block(
          'Local addresses to bind in their place, at most one per family. Where this machine owns the public address, name that. Default: counted out of `stand_ins.network`, and ::1 as well for IPv6.',
          {
            ipv4: optional(localAddresses('For `ipv4`.')),
            ipv6: optional(localAddresses('For `ipv6`.')),
          },
        ),
      ),
      geolocation: optional(
        place(
          "Where geo databases place it. Default: its data center's city. For addresses you brought yourself (BYOIP).",
        ),
      ),
      geolocation_updated_at: optional(
        text(
          "From this moment other sites' databases know the geolocation; before, they see the account's home country. Default: they always did.",
          { format: 'date-time', examples: ['2026-11-01T00:00:00Z'] },
        ),
      ),
      exit: optional(
        exit('A proxy on the machine that owns the address. Connections leave by it instead of from a stand-in.'),
      ),
    }),
  ),
  shared_egress: section(
    'Default egress, shared by all accounts: one address per data center, counted in the order of the table of data centers.',
    {
      ipv4: section('IPv4 shared egress.', {
        range: text('Public addresses.', { format: 'ipv4-network', default: '198.18.0.0/16' }),
        stand_ins: text('Local addresses, counted alike.', { format: 'ip-network', default: '127.18.0.0/16' }),
      }),
      ipv6: section('IPv6 shared egress.', {
        range: text('Public addresses.', { format: 'ipv6-network', default: '2001:db8:5a::/64' }),
        stand_ins: text('Local addresses, counted alike.', { format: 'ip-network', default: '127.19.0.0/16' }),
      }),
      exit: optional(exit('A proxy that shared egress leaves by, whatever the data center.')),
    },
  ),
  virtual_networks: list(
    "Routing domains a user's device is attached to, one at a time; how users choose where they leave from. Where none is marked or named `default`, one of that name is added.",
    block('One virtual network.', {
      name: text('Its name, unique.', { format: 'choice-name', examples: ['vnet-EMEA'] }),
      id: optional(id('UUID. Default: derived from the name. Rules compare `net.vnet_id` with it, or with the name.')),
      comment: anyText('A remark for people.', { default: '' }),
      default: flag('The network of devices that chose none. At most one.', false),
    }),
  ),
  tunnels: list(
    'Cloudflare Tunnels that routes lead to. Traffic to what is behind one is exempt from egress policies.',
    block('One tunnel.', {
      name: text('Its name, unique.'),
      id: optional(id('UUID. Default: derived from the name.')),
      egress: list(
        "The connector's own public addresses, one per family: what an origin behind a host name route sees. Default: not known, so shared egress is shown.",
        text('A public address.', { format: 'ip-address', examples: ['192.0.2.9'] }),
        { maxItems: 2 },
      ),
      networks: list(
        'Private networks behind it that something on this machine stands in for.',
        block('One network.', {
          network: text('The private network, as routes and clients know it.', {
            format: 'ip-network',
            examples: ['10.10.0.0/16'],
          }),
          stand_in: text(
            'The network really dialled; an address keeps its low bits: 10.10.1.4 is 127.40.1.4. The network itself where this machine reaches it.',
            { format: 'ip-network', examples: ['127.40.0.0/16'] },
          ),
          ports: optional(ports('Private port to real port; others stay as they are.')),
        }),
      ),
      hosts: list(
        'What private names are known by behind it; a host name route, or a route of the address, leads here.',
        block('One name.', {
          name: text('A host name; `*.` at the front covers every subdomain.', {
            format: 'host-pattern',
            examples: ['wiki.internal.test'],
          }),
          addresses: listOf('Its private addresses.', text('An address.', { format: 'ip-address' }), {
            minItems: 1,
            examples: [['10.10.1.4']],
          }),
        }),
      ),
      upstream: optional(exit('A proxy on its other side; what no stand-in is for is asked of it.')),
    }),
  ),
  private_routes: list(
    'Networks behind tunnels, each in one virtual network.',
    block('One route.', {
      network: text('The private network.', { format: 'ip-network', examples: ['10.1.0.0/16'] }),
      virtual_network: optional(text('Name or id of its virtual network. Default: the default one.')),
      tunnel: text('Name or id of the tunnel.'),
      id: optional(id('UUID. Default: derived from network and virtual network.')),
      comment: anyText('A remark for people.', { default: '' }),
    }),
  ),
  hostname_routes: list(
    'Host names behind tunnels.',
    block('One route.', {
      hostname: text('A host name; `*.` at the front covers every subdomain.', {
        format: 'host-pattern',
        examples: ['wiki.internal.test', '*.internal.test'],
      }),
      tunnel: text('Name or id of the tunnel.'),
      id: optional(id('UUID. Default: derived from the host name.')),
      comment: anyText('A remark for people.', { default: '' }),
    }),
  ),
  lists: list(
    'Zero Trust lists; a rule refers to one as `$` and its name or id, the name in quotes if it has spaces or capitals: `$"Partner networks"`.',
    block('One list.', {
      name: text('Its name, unique.'),
      id: optional(id('UUID. Default: derived from the name.')),
      type: oneOf('What its items are.', [
        'IP',
        'DOMAIN',
        'EMAIL',
        'URL',
        'SERIAL',
        'HOSTNAME',
        'CATEGORY',
        'LOCATION',
        'DEVICE',
      ]),
      items: list('The items. For IP: addresses and networks.', text('One item.')),
    }),
  ),

  rules: list(
    'Egress rules. The enabled rule with the lowest precedence whose three expressions are all true decides.',
    RULE,
  ),
  invariants: list('Statements about every connection, for `egresslab prove`.', INVARIANT),
  rules_file: optional(
    text('A YAML or JSON file with a list of further rules of the same form, relative to this file.', {
      examples: ['rules.yaml'],
    }),
  ),
  policy: section('Who owns the rules.', {
    source: oneOf(
      '`api`: this file seeds the rules, and the API may change them. `file`: this file alone owns them, and the API only shows them.',
      ['api', 'file'],
      { default: 'api' },
    ),
  }),
}

export type RawRule = Static<typeof RULE>
export type RawPlace = Static<ReturnType<typeof place>>
export type RawExit = Static<ReturnType<typeof exit>>
export type RawDedicatedIp = Static<typeof ACCOUNT_SECTIONS.dedicated_ips>[number]
export type RawTunnel = Static<typeof ACCOUNT_SECTIONS.tunnels>[number]
