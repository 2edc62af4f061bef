// One question about a synthetic policy, measured: `node bench/prove/measure.ts allowlist|diff|reordered RULES`. Prints
// the figures as JSON.

import { parseExpression } from '../../src/expression/index.ts'
import { createRandom } from '../../src/load-test/random.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import { type Account, DEFAULT_SETTINGS } from '../../src/policy/account.ts'
import { GATEWAY_SCHEME } from '../../src/policy/fields.ts'
import { COLOS } from '../../src/policy/place.ts'
import type { EgressSettings, Rule } from '../../src/policy/rule.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'
import { comparePolicies } from '../../src/prove/compare.ts'
import { rulesUnder } from '../../src/prove/cut.ts'
import { verdictOnEnd } from '../../src/prove/invariants.ts'
import { Proof } from '../../src/prove/proof.ts'
import { startSolver } from '../../src/prove/solver.ts'
import type { Demand } from '../../src/prove/statements.ts'
import type { World } from '../../src/prove/subject.ts'
import { and, or } from '../../src/prove/terms.ts'

export interface ProofFigures {
  readonly question: string
  readonly rules: number
  readonly answer: string
  readonly encodeMs: number
  readonly startMs: number
  readonly solveMs: number
  readonly processorMs: number
  readonly rssMb: number
}

const OWNED = ['AMS', 'LHR', 'IAD', 'LAX', 'EWR'].map((code, at) => ({ code, octet: 10 * (at + 1) }))
const NETWORK = '11111111-1111-4111-8111-111111111111'
const SERVICE = 'bank.saas.test'
const TIMEOUT_MS = 120_000

const account: Account = {
  id: 'f174e90afafe4643bbbc4a0ed4fc8415',
  name: 'bench',
  colos: COLOS,
  colosDown: new Set(),
  dedicatedIps: OWNED.flatMap(({ code, octet }) => {
    const place = COLOS.get(code)
    if (place === undefined) return []
    return [
      {
        colo: code,
        ipv4: { address: ip(`203.0.113.${octet}`), standIns: [] },
        ipv6: { range: cidr(`2001:db8:${octet}::/64`), standIns: [] },
        geolocation: place,
      },
    ]
  }),
  sharedEgress: {
    ipv4: { range: cidr('198.18.0.0/16'), standIns: cidr('127.18.0.0/16') },
    ipv6: { range: cidr('2001:db8:5a::/64'), standIns: cidr('127.19.0.0/16') },
  },
  virtualNetworks: [{ id: NETWORK, name: 'default', comment: '', isDefault: true }],
  privateRoutes: [],
  hostnameRoutes: [],
  lists: [],
  settings: DEFAULT_SETTINGS,
}

const world: World = {
  people: [],
  groups: Array.from({ length: 40 }, (_, at) => ({ id: `id-${at}`, name: `group-${at}`, email: '' })),
  devices: [],
  networks: [NETWORK],
  endpoints: [],
  destinations: [{ name: SERVICE, addresses: [ip('198.51.100.20')] }],
  isClosed: false,
}

/** Names or domains of its own, a group, ports; the service's rule stands among them. */
function policy(count: number): Rule[] {
  const random = createRandom(7)
  return Array.from({ length: count }, (_, at): Rule => {
    const isService = at === Math.floor(count / 2)
    const name = isService ? SERVICE : `site-${at}.example.net`
    const host =
      random.chance(0.5) || isService ? `any(net.fqdn.domains[*] == "${name}")` : `net.fqdn.host == "${name}"`
    const port = random.pick(['net.dst.port == 443', 'net.dst.port in {80 443}', 'net.dst.port in {8000..8999}'])
    return {
      id: `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
      name: `rule ${at}`,
      description: '',
      enabled: true,
      precedence: at * 10,
      action: 'egress',
      filters: ['egress'],
      traffic: isService ? host : `${host} and ${port}`,
      identity: isService ? '' : `any(identity.groups.name[*] == "group-${random.below(40)}")`,
      devicePosture: '',
      egress: isService ? via(20, 30) : via(10 * (1 + random.below(5)), 10 * (1 + random.below(5))),
    }
  })
}

function via(octet: number, fallback: number): EgressSettings {
  return { ipv4: `203.0.113.${octet}`, ipv4Fallback: `203.0.113.${fallback}`, ipv6: `2001:db8:${octet}::/64` }
}

function snapshotOf(rules: readonly Rule[]): Snapshot {
  return createSnapshot(1, account, compileRuleset(rules, [], account.settings).ruleset)
}

/** One rule in the middle leaves from somewhere else. */
function changed(rules: readonly Rule[]): Rule[] {
  const at = Math.floor(rules.length / 3)
  return rules.map((rule, number) => (number === at ? { ...rule, egress: via(50, 10) } : rule))
}

/** Forty neighbours at the end swap places; their names are different, so that nothing changes. */
function reordered(rules: readonly Rule[]): Rule[] {
  const from = Math.max(0, rules.length - 40)
  return rules.map((rule, at) => (at < from ? rule : { ...rule, precedence: (rules.length + from - at) * 10 }))
}

async function measure(question: string, count: number): Promise<ProofFigures> {
  const rules = policy(count)
  const others = question === 'diff' ? changed(rules) : question === 'reordered' ? reordered(rules) : undefined
  const snapshot = snapshotOf(rules)
  const policies = [snapshot, ...(others === undefined ? [] : [snapshotOf(others)])]
  const begun = performance.now()
  const cpu = process.cpuUsage()
  const solver = await startSolver()
  const started = performance.now()
  const service = parseExpression(`net.fqdn.host == "${SERVICE}"`, GATEWAY_SCHEME)
  if (!service.ok) throw new Error('the bench asks what is no condition')
  const only = others !== undefined ? 'differences' : rulesUnder(snapshot, service.expression)
  const proof = new Proof({ policies, world, conditions: [], only }, solver)
  const encoded = performance.now()
  const answer = await ask(proof, question)
  const done = performance.now()
  const { user, system } = process.cpuUsage(cpu)
  proof.close()
  return {
    question,
    rules: count,
    answer,
    startMs: started - begun,
    encodeMs: encoded - started,
    solveMs: done - encoded,
    processorMs: (user + system) / 1000,
    rssMb: process.resourceUsage().maxRSS / 1e3,
  }
}

async function ask(proof: Proof, question: string): Promise<string> {
  if (question !== 'allowlist') {
    const { isSame, regions, reason } = await comparePolicies(proof, { timeoutMs: TIMEOUT_MS })
    const expected = question === 'reordered' ? isSame === true : regions.length > 0 && isSame === false
    if (!expected) throw new Error(`${question}: ${isSame}, ${regions.length} regions, ${reason}`)
    return question === 'reordered' ? 'same' : `${regions.length} regions`
  }
  const demand: Demand = { networks: [['egress_in', [cidr('203.0.113.20/32'), cidr('203.0.113.30/32')]]] }
  const [policy] = proof.policies
  const refused = or(
    (policy?.ends ?? []).flatMap((end) => (verdictOnEnd(demand, end, account) === 'holds' ? [] : [end.when])),
  )
  const found = await proof.find({
    where: [and([proof.connection.isHost(SERVICE)]), refused],
    colosDown: 1,
    people: 'anybody',
    isFound: () => true,
    timeoutMs: TIMEOUT_MS,
  })
  if (found.kind !== 'none') throw new Error(`${question}: ${JSON.stringify(found)}`)
  return 'proven'
}

process.stdout.write(JSON.stringify(await measure(process.argv[2] ?? '', Number(process.argv[3] ?? 500))))
