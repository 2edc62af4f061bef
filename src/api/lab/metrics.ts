// What the lab counts, as metric families: for `/metrics` in the Prometheus text format (version 0.0.4), and for OTLP.

import type { MetricFamily, MetricSample } from '../../log/otlp.ts'
import type { DatagramCounts } from '../../proxy/counters.ts'
import type { DnsPort, FleetPort, StatusPort } from '../ports.ts'
import type { ApiResponse } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { DECISION_BUCKETS } from './session-totals.ts'

const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export const METRIC_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/metrics',
    summary: 'metrics for Prometheus',
    access: 'token',
    answers: { kind: 'bytes', mediaType: METRICS_CONTENT_TYPE, description: 'the Prometheus text format' },
    looksAtTraffic: true,
    handle: metrics,
  },
]

async function metrics(call: RouteCall): Promise<ApiResponse> {
  const body = (await metricFamilies(call)).map(formatFamily).join('')
  return { kind: 'text', status: 200, contentType: METRICS_CONTENT_TYPE, body }
}

/** Every metric as it is now, in the order of `/metrics`. */
export async function metricFamilies({
  ports,
  tally,
  access,
}: Pick<RouteCall, 'ports' | 'tally' | 'access'>): Promise<readonly MetricFamily[]> {
  const { status, sessions, plane, traffic } = ports
  const counts = status.counts()
  const snapshot = plane.current()
  const standing = traffic?.standing() ?? { workers: 1, revision: snapshot.revision }
  return [
    family('egresslab_info', 'gauge', 'version and engine of the lab', [[{ version: status.version }, 1]]),
    family(
      'egresslab_sessions_total',
      'counter',
      'finished sessions by outcome, rule and egress address or range',
      sessionSamples(tally, ports.plane),
    ),
    family('egresslab_sessions_open', 'gauge', 'sessions open now', [[{}, sessions.live().length]]),
    family(
      'egresslab_connections_refused_total',
      'counter',
      'connections that failed before they were open, by error',
      asSamples('code', Object.entries(counts.refused)),
    ),
    family(
      'egresslab_errors_total',
      'counter',
      'sessions that ended with an error, by error',
      asSamples('code', [...tally.errors()]),
    ),
    family('egresslab_bytes_total', 'counter', 'bytes of finished sessions', [
      [{ direction: 'received' }, tally.bytes.received],
      [{ direction: 'sent' }, tally.bytes.sent],
    ]),
    family(
      'egresslab_ports_in_use',
      'gauge',
      'source ports in use per egress address or range',
      status.portUse().map(({ egress, used }) => [{ egress }, used]),
    ),
    ...portLimitFamilies(status.portLimit()),
    ...egressHealthFamilies(status.egressHealth()),
    ...datagramFamilies(status.datagrams()),
    ...dnsFamilies(ports.dns),
    decisionHistogram(tally.decisions),
    family('egresslab_policy_revision', 'gauge', 'revision of the state in force', [[{}, snapshot.revision]]),
    family('egresslab_policy_revision_in_force', 'gauge', 'oldest revision that decides new connections', [
      [{}, standing.revision],
    ]),
    family('egresslab_workers', 'gauge', 'worker threads that are up', [[{}, standing.workers]]),
    family('egresslab_rules', 'gauge', 'egress rules that can match', [[{}, snapshot.ruleset.active.length]]),
    family('egresslab_colos_down', 'gauge', 'data centers that are down', [[{}, snapshot.account.colosDown.size]]),
    ...fleetFamilies(ports.fleet),
    ...accessFamilies(ports.tokens.list().length, access.counts()),
    family('egresslab_troubles', 'gauge', 'current problems', [[{}, (await status.troubles()).length]]),
  ]
}

/** As this member sees them. */
function fleetFamilies(fleet: FleetPort | undefined): MetricFamily[] {
  if (fleet === undefined) return []
  const { members, standing, sessions_sent: sent, carried_for_others: carried } = fleet.status()
  const perMember = (of: (member: (typeof members)[number]) => number): MetricSample[] =>
    members.map((member) => [{ member: member.name, colo: member.colo }, of(member)])
  const following = Number(standing === 'following')
  return [
    family('egresslab_fleet_following', 'gauge', '1 while this member follows its fleet', [[{}, following]]),
    family(
      'egresslab_fleet_member_up',
      'gauge',
      'members of the fleet: 1 if connections leave there',
      perMember(({ state }) => Number(state === 'up' || state === 'cut_off')),
    ),
    family(
      'egresslab_fleet_member_revision',
      'gauge',
      'revision each member has in force',
      perMember(({ revision }) => revision),
    ),
    family(
      'egresslab_fleet_member_sessions',
      'gauge',
      'sessions open at each member',
      perMember(({ sessions }) => sessions),
    ),
    family('egresslab_fleet_carried', 'gauge', 'connections carried here for other members', [[{}, carried]]),
    family('egresslab_fleet_sessions_sent_total', 'counter', 'sessions sent to the stream of the fleet', [[{}, sent]]),
  ]
}

function accessFamilies(
  tokens: number,
  { streams, refused }: ReturnType<RouteCall['access']['counts']>,
): MetricFamily[] {
  return [
    family('egresslab_api_tokens', 'gauge', 'valid named tokens', [[{}, tokens]]),
    family('egresslab_api_streams', 'gauge', 'event streams open now, by token', asSamples('token', [...streams])),
    family(
      'egresslab_api_refused_total',
      'counter',
      'requests to the API refused for who sent them or how many, by reason',
      asSamples('reason', Object.entries(refused)),
    ),
  ]
}

function portLimitFamilies({ refused, pressure }: ReturnType<StatusPort['portLimit']>): MetricFamily[] {
  const reached = 'times that the connections of an egress address to one destination reached a share of the limit'
  return [
    family('egresslab_port_leases_refused_total', 'counter', 'connections refused because no port was free', [
      [{}, refused],
    ]),
    family('egresslab_port_pressure_total', 'counter', reached, asSamples('percent', Object.entries(pressure))),
  ]
}

function egressHealthFamilies({ outages, faults }: ReturnType<StatusPort['egressHealth']>): MetricFamily[] {
  return [
    family(
      'egresslab_egress_faults_total',
      'counter',
      'attempts that failed because of the egress address, by address and error',
      faults.map(({ egress, code, count }) => [{ egress, code }, count]),
    ),
    family(
      'egresslab_egress_out',
      'gauge',
      'egress addresses that are failing now',
      outages.map(({ egress, code }) => [{ egress, code }, 1]),
    ),
  ]
}

function dnsFamilies(dns: DnsPort | undefined): MetricFamily[] {
  if (dns === undefined) return []
  const { queries, placeholders, exhausted } = dns.counts()
  const short = 'queries that got no placeholder because the range is exhausted'
  return [
    family('egresslab_dns_queries_total', 'counter', 'queries to Gateway DNS', [[{}, queries]]),
    family('egresslab_dns_placeholders_total', 'counter', 'answers with a placeholder', [[{}, placeholders]]),
    family('egresslab_dns_placeholders_exhausted_total', 'counter', short, [[{}, exhausted]]),
    family('egresslab_dns_placeholders', 'gauge', 'placeholders in use now', [[{}, dns.placeholders().length]]),
  ]
}

function datagramFamilies({ associations, sent, received, dropped }: DatagramCounts): MetricFamily[] {
  return [
    family('egresslab_udp_associations', 'gauge', 'UDP associations open now', [[{}, associations]]),
    family('egresslab_udp_datagrams_total', 'counter', 'datagrams relayed', [
      [{ direction: 'received' }, received],
      [{ direction: 'sent' }, sent],
    ]),
    family(
      'egresslab_udp_datagrams_dropped_total',
      'counter',
      'dropped datagrams, by reason',
      asSamples('reason', Object.entries(dropped)),
    ),
  ]
}

/** Rules by the name they have now, or had when they were last used. */
function sessionSamples(tally: RouteCall['tally'], plane: RouteCall['ports']['plane']): MetricSample[] {
  const { active, skipped } = plane.current().ruleset
  const names = new Map([
    ...tally.ruleNames(),
    ...[...active, ...skipped].map(({ rule }) => [rule.id, rule.name] as const),
  ])
  return tally
    .sessions()
    .map(({ outcome, rule, egress, sessions }) => [
      { outcome, rule, rule_name: names.get(rule) ?? '', egress },
      sessions,
    ])
}

function asSamples(label: string, entries: readonly (readonly [string, number])[]): MetricSample[] {
  return entries.map(([name, value]) => [{ [label]: name }, value])
}

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, type, help, samples }
}

function decisionHistogram(decisions: RouteCall['tally']['decisions']): MetricFamily {
  const help = 'time to evaluate the rules for one session'
  const { buckets, count, seconds: sum } = decisions
  return { name: 'egresslab_decision_seconds', type: 'histogram', help, bounds: DECISION_BUCKETS, buckets, count, sum }
}

function formatFamily(metric: MetricFamily): string {
  const { name, help, type } = metric
  const lines =
    metric.type === 'histogram'
      ? histogramLines(metric)
      : metric.samples.map(([labels, value]) => `${name}${formatLabels(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

/** Buckets are cumulative here. */
function histogramLines({
  name,
  bounds,
  buckets,
  count,
  sum,
}: MetricFamily & { readonly type: 'histogram' }): string[] {
  let below = 0
  const lines = bounds.map((bound, at) => {
    below += buckets[at] ?? 0
    return `${name}_bucket{le="${bound}"} ${below}\n`
  })
  return [...lines, `${name}_bucket{le="+Inf"} ${count}\n${name}_sum ${sum}\n${name}_count ${count}\n`]
}

function formatLabels(labels: MetricSample[0]): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
