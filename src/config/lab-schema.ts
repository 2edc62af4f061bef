// The one description of a configuration file. config/lab.schema.json is made from it (scripts/schemas.ts), a file is
// checked against it (check-shape.ts), and `RawConfig` is its type: keys as in the file, defaults filled in.

import type { Static } from 'typebox'
import { ACCOUNT_SECTIONS, place, ports } from './account-schema.ts'
import { API_SECTION } from './api-schema.ts'
import { PEOPLE_SECTIONS } from './people-schema.ts'
import {
  amount,
  block,
  flag,
  list,
  listOf,
  oneOf,
  optional,
  or,
  section,
  tableOf,
  text,
  whole,
  wholeFile,
} from './schema.ts'

const ORIGIN = block('A test origin for the lab to run there. Default: none, something of your own serves it.', {
  kind: oneOf(
    "`echo` answers with the address it sees; `saas` lets in the addresses of `allow` only; `search` greets by the visitor's geolocation; `site` is a plain page; `udp-echo` answers every datagram with the address it sees, on port 7.",
    ['echo', 'saas', 'search', 'site', 'udp-echo'],
  ),
  allow: list('For saas: addresses and networks let in.', text('An address or network.', { format: 'ip-network' })),
  title: optional(text('What the site calls itself. Default: its host name.')),
})
type OriginKind = Static<typeof ORIGIN>['kind']

/** One destination. */
export const DESTINATION = block('One destination.', {
  name: optional(text('Its host name. Without one, only its addresses are known.', { format: 'hostname' })),
  addresses: listOf(
    'Its public addresses, those that rules see.',
    or(
      'string',
      block('A public address, or one with its stand-in.', {
        public: text('The public address.', { format: 'ip-address' }),
        stand_in: optional(
          text('The local address really dialled. Default: counted out of `stand_ins.network`.', {
            format: 'ip-address',
          }),
        ),
        ports: optional(ports('Real ports of this address. Default: those of the destination.')),
      }),
      { format: 'ip-address' },
    ),
    { minItems: 1 },
  ),
  ports: optional(
    ports(
      'Public port to real port; others are dialled as they are. Default: 80 to 10080 and 443 to 10443 where the lab runs the origin, else none.',
    ),
  ),
  origin: optional(or<'string', typeof ORIGIN, OriginKind>('string', ORIGIN, { format: 'origin-kind' })),
  place: optional(place('Where it is. Default: by its address through the geo database.')),
  proxied_by_cloudflare: flag(
    "Its DNS record is orange-clouded: connections enter Cloudflare's network at the ingress data center. Default: whether its addresses are in Cloudflare's published ranges.",
    false,
  ),
  proxy_protocol: optional(
    oneOf(
      'Tells it by the PROXY protocol who connects: the public egress address and port, in front of the first byte of each TCP connection.',
      ['v2'],
    ),
  ),
})

const DESTINATION_SECTIONS = {
  destinations: listOf(
    'Names (and addresses) the lab answers for, and what really serves them. Default: the echo sites ipv4.icanhazip.com, ipv6.icanhazip.com and ifconfig.me.',
    DESTINATION,
    {
      default: [
        { name: 'ipv4.icanhazip.com', addresses: ['198.51.100.4'], origin: 'echo' },
        { name: 'ipv6.icanhazip.com', addresses: ['2001:db8:f00::6'], origin: 'echo' },
        { name: 'ifconfig.me', addresses: ['198.51.100.5', '2001:db8:f00::5'], origin: 'echo' },
      ],
    },
  ),
  categories: list(
    'Content categories and applications of hosts or networks (`net.fqdn.content_category`, `app.ids`).',
    block('One host or network.', {
      host: optional(text('A host name; its subdomains are meant too.', { format: 'hostname' })),
      network: optional(text('A network of destinations.', { format: 'ip-network' })),
      name: optional(
        text('What its applications are called in `GET …/gateway/app_types`; default: the host or the network.'),
      ),
      content_categories: list(
        "Category numbers, as in Cloudflare's list of categories.",
        whole('A category number.', { minimum: 0 }),
      ),
      applications: list(
        "Application numbers, as in Cloudflare's list of applications.",
        whole('An application number.', { minimum: 0 }),
      ),
    }),
  ),
}

const OPERATION_SECTIONS = {
  geo: section('Geolocation.', {
    databases: list(
      'MMDB files (GeoLite2/GeoIP2/DB-IP, City or Country), relative to this file. Default: DB-IP City Lite, which comes with the lab.',
      text('A file.'),
    ),
    proxied_by_cloudflare: list(
      "Destination networks to take for orange-clouded beside Cloudflare's published ranges.",
      text('A network.', { format: 'ip-network' }),
    ),
  }),
  guard: section(
    "Which destinations the proxy refuses for safety's sake, whatever the rules say. The lab's own listeners are always refused.",
    {
      profile: oneOf(
        'Loopback and private destinations: `lab`, for clients on this machine only; `strict`, for nobody.',
        ['lab', 'strict'],
        { default: 'lab' },
      ),
      allow: list('Networks allowed nevertheless.', text('A network.', { format: 'ip-network' })),
      deny: list('Networks refused in any case.', text('A network.', { format: 'ip-network' })),
    },
  ),
  timeouts: section('How long the proxy waits, as a number with ms, s, m or h.', {
    connect: text("For the origin's TCP handshake, all attempts together.", { format: 'duration', default: '30s' }),
    idle: text('With both directions of a tunnel silent.', { format: 'duration', default: '8h' }),
    unacknowledged: optional(
      text(
        'For data sent to a client or an origin that it neither acknowledges nor takes; then it counts as gone (TCP_USER_TIMEOUT, engine `linux`). It also ends a peer that pauses its reading for so long. Default: the system decides, after about 15 minutes without an acknowledgement.',
        { format: 'duration', examples: ['60s'] },
      ),
    ),
    handshake: text("For a client's first byte, request head or SOCKS negotiation.", {
      format: 'duration',
      default: '10s',
    }),
    drain: text('For open connections to end when the lab stops.', { format: 'duration', default: '5s' }),
    response: text("For the head of an origin's response to a forwarded request.", {
      format: 'duration',
      default: '5m',
    }),
    keep_alive: text("For the next request on a client's connection that is kept.", {
      format: 'duration',
      default: '60s',
    }),
    body_idle: text('With the body of a forwarded request standing still.', { format: 'duration', default: '60s' }),
  }),
  dns: optional(
    block(
      "Gateway DNS, for clients that resolve names themselves: names that rules depend on are answered with placeholders. Over UDP and TCP here, over HTTPS's wire format at `/dns-query` of the API. Absent: the lab has no Gateway DNS.",
      {
        listen: listOf(
          'Addresses and ports to listen on, both UDP and TCP.',
          text('An address and a port.', { format: 'address-and-port' }),
          { uniqueItems: true, default: ['127.0.0.1:8053'] },
        ),
        clients: list(
          'Networks that are answered beside this machine itself. It never answers everybody unless this says so.',
          text('A network.', { format: 'ip-network' }),
          { uniqueItems: true, examples: [['172.17.0.0/16']] },
        ),
        upstream: optional(
          listOf(
            'Name servers for everything the lab does not know itself, its own connections included; an address, with a port where it is not 53. Default: those of this machine.',
            text('A name server.', { format: 'name-server' }),
            { uniqueItems: true, minItems: 1, examples: [['192.0.2.53', '127.0.0.1:5353']] },
          ),
        ),
        https_records: oneOf(
          'HTTPS and SVCB records of names that rules depend on. `passed`: as the product does, so a client that uses the addresses in them meets no rule on the name; `withheld`: answered empty, so no client goes around the rules.',
          ['passed', 'withheld'],
          { default: 'passed' },
        ),
        policies: oneOf(
          'Rules of type `dns` that allow, block or override by the name and the type of a query. `evaluated`: as the product does, so an override bypasses host selectors and a block of a type forces the other IP version; `ignored`: they are only kept.',
          ['evaluated', 'ignored'],
          { default: 'evaluated' },
        ),
      },
    ),
  ),
  udp: section('UDP through SOCKS5 (UDP ASSOCIATE). Whether the account proxies UDP is `settings.udp_proxying`.', {
    enabled: flag('Whether clients may ask for it. Otherwise they are told that the command is not supported.', true),
    idle: text('A flow without a datagram in either direction ends.', { format: 'duration', default: '5m' }),
    max_destinations: whole('Destinations of one client connection at one time.', {
      minimum: 1,
      maximum: 65535,
      default: 1000,
    }),
    packets_per_second: whole('Datagrams of one client connection, in each direction; more are dropped.', {
      minimum: 1,
      maximum: 1000000000,
      default: 50000,
    }),
    bytes_per_second: text(
      'Bytes of one client connection, in each direction, with B, KiB, MiB or GiB; more are dropped.',
      { format: 'size', default: '64MiB' },
    ),
  }),
  distance: section(
    'Emulates distance: connecting takes one round trip longer, by the great circle from the user over the data centers to the destination. Not for UDP. See docs/geolocation.md.',
    {
      enabled: flag('Whether it is added.', false),
      ms_per_1000_km: amount(
        'Milliseconds of one round trip over 1,000 km. Light in fibre takes 10; cables are half as long again as the great circle.',
        { minimum: 0.1, maximum: 1000, default: 15 },
      ),
    },
  ),
  workers: whole(
    "Threads that carry connections; with more than one, each takes its share of every listener's port. See docs/operating.md.",
    { minimum: 1, maximum: 64, default: 1 },
  ),
  engine: oneOf(
    "How connections enter and leave: `linux` by system calls of the lab's own, `node` by sockets of Node's, `auto` by the best that works here. See docs/operating.md.",
    ['auto', 'linux', 'node'],
    { default: 'auto' },
  ),
  limits: section('Upper bounds.', {
    max_clients: whole('Concurrent client connections.', { minimum: 1, maximum: 1000000, default: 20000 }),
    max_head_size: text('Size of an HTTP request head, with B, KiB or MiB.', { format: 'size', default: '64KiB' }),
  }),
  api: API_SECTION,
  fleet: optional(
    block(
      'Makes this lab a member of a fleet: labs on several machines with one policy, each a data center of the account. Absent: the lab is alone, and nothing of this is loaded. See docs/fleet.md.',
      {
        name: text('The name of the fleet, alike on all its members.', { format: 'dns-label', examples: ['acme'] }),
        member: optional(
          text('The name of this member. Default: the name of this machine, up to its first dot.', {
            format: 'dns-label',
            examples: ['ams-1'],
          }),
        ),
        colo: text('The data center that this member is.', { format: 'colo-code', examples: ['AMS'] }),
        servers: listOf(
          'NATS servers with JetStream, tried in any order; `tls://` insists on TLS.',
          text('A server.', { format: 'nats-server' }),
          { uniqueItems: true, minItems: 1, default: ['nats://127.0.0.1:4222'] },
        ),
        login: optional(
          block('Name and password at the NATS servers.', {
            user: text('The name.'),
            password: text('The password.'),
          }),
        ),
        credentials: optional(
          text('A file of NATS credentials (`.creds`) in place of a login, relative to this file.'),
        ),
        server_ca: optional(
          text(
            'The authority that signs the certificates of the NATS servers (PEM), relative to this file. Default: those that Node knows.',
          ),
        ),
        advertise: text('The address and the port at which the other members reach this one.', {
          format: 'address-and-port',
          examples: ['198.51.100.1:8443'],
        }),
        listen: optional(text('Where it listens for them. Default: `advertise`.', { format: 'address-and-port' })),
        ca: text("The fleet's own certificate authority (PEM), relative to this file. `egresslab fleet ca` makes it."),
        certificate: text("This member's certificate, signed by it (PEM), relative to this file."),
        key: text('The private key to it (PEM), relative to this file.'),
        on_partition: oneOf(
          'What a member does that is cut off from NATS. `go_on`: it carries connections by the last policy it knows, says so, and refuses changes; `refuse`: it refuses new connections as well.',
          ['go_on', 'refuse'],
          { default: 'go_on' },
        ),
      },
    ),
  ),
  telemetry: optional(
    block('What is pushed to other systems while the lab runs; nothing without this section. See docs/operating.md.', {
      otlp: block('OpenTelemetry over OTLP/HTTP, as JSON.', {
        endpoint: text("The receiver's address; `/v1/metrics` and `/v1/logs` are added to it.", {
          format: 'web-address',
          examples: ['http://127.0.0.1:4318'],
        }),
        headers: tableOf(
          'Header fields of every request, such as an API key.',
          text('A value.', { pattern: '^[\\t -~\\u0080-\\u00ff]+$' }),
          { keys: 'field-name', default: {} },
        ),
        metrics: flag('Whether the metrics of `/metrics` are pushed.', true),
        logs: flag('Whether finished sessions and the events of the lab are pushed.', true),
        interval: text('Between two pushes of the metrics.', { format: 'duration', default: '60s' }),
      }),
    }),
  ),
  log: section('The session log, sessions.ndjson in the state directory, and the audit, audit.ndjson beside it.', {
    max_size: text('Size at which a new file is started, with B, KiB, MiB or GiB.', {
      format: 'size',
      default: '64MiB',
    }),
    keep: whole('Finished files kept.', { minimum: 0, maximum: 1000, default: 5 }),
    audit_keep: text('How long the lab itself remembers who changed what; the file is kept like the session log.', {
      format: 'period',
      default: '90d',
    }),
  }),
}

/** A whole configuration. */
export const LAB = wholeFile(
  'lab.schema.json',
  'egresslab configuration',
  'One lab: the account with its dedicated egress IPs, virtual networks and egress rules; the people and devices that use it; the listeners of the proxy; the destinations it can reach. Everything but `dedicated_ips` has a default.',
  {
    egresslab: optional(
      text(
        'The version of egresslab this file was written for. An older one refuses the file, naming both versions. Default: every version reads it.',
        { format: 'version', examples: ['0.1.0'] },
      ),
    ),
    ...ACCOUNT_SECTIONS,
    ...PEOPLE_SECTIONS,
    ...DESTINATION_SECTIONS,
    ...OPERATION_SECTIONS,
  },
)

export type RawConfig = Static<typeof LAB>
export type RawDestination = RawConfig['destinations'][number]
