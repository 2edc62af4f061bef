// Who leaves from where, as a whole: people × virtual networks down, destinations across, once per outage that is assumed.
// Each connection goes through the stages of the proxy and the very decide() of it; rows and columns that are equal in every
// cell are one.

import type { LabConfig } from '../config/lab-config.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { rangeText } from '../net/cidr.ts'
import { formatTarget, type Target } from '../net/endpoint.ts'
import { type Allowlist, letsIn } from '../policy/allowlist.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import { decide } from '../policy/decide.ts'
import { type Decision, type DecisionOutcome, nameOfEgress } from '../policy/decision.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Candidate, Identified } from '../proxy/stage-values.ts'
import { flowsOf, identify, receive, resolvePlaceholder, resolveTarget } from '../proxy/stages.ts'
import type { Decider } from './decider.ts'
import { hypotheticalArrival, parseDestination, withColosDown } from './explain-connection.ts'

/** What is asked; whatever is left out means all there is. */
export interface MatrixQuestion {
  /** email addresses */
  readonly users?: readonly string[]
  /** names of groups: their people only */
  readonly groups?: readonly string[]
  /** as `explain` takes them */
  readonly destinations?: readonly string[]
  /** names or ids, or `all`; default: the network each person is in */
  readonly vnets?: readonly string[]
  /** data centers to take as down, together; `each`: every one that has a dedicated IP, in turn */
  readonly down?: readonly string[]
  /** default: the address that would be tried first */
  readonly family?: 4 | 6
}

export interface Matrix {
  /** connections decided, over all scenarios */
  readonly connections: number
  readonly rows: readonly MatrixRow[]
  readonly columns: readonly MatrixColumn[]
  /** the first is the lab as it is */
  readonly scenarios: readonly { readonly colos_down: readonly string[] }[]
  readonly verdicts: readonly MatrixVerdict[]
  /** per scenario, row and column the place in `verdicts` */
  readonly cells: readonly (readonly (readonly number[])[])[]
}

export interface MatrixRow {
  readonly users: readonly string[]
  /** groups of which all people asked for are in this row */
  readonly groups: readonly string[]
  readonly virtual_network: { readonly id: string; readonly name: string }
}

export interface MatrixColumn {
  /** `host:port` */
  readonly destinations: readonly string[]
  /** addresses and networks that are let in; null: no allowlist */
  readonly allow: readonly string[] | null
}

export interface MatrixVerdict {
  /** null: the connection fails before a decision */
  readonly outcome: DecisionOutcome | null
  readonly rule: { readonly id: string; readonly name: string; readonly precedence: number } | null
  /** the address, or over IPv6 the range in which each person has their own */
  readonly egress: string | null
  readonly fallback: boolean
  /** data center the connection leaves from */
  readonly colo: string | null
  /** null: the destination has no allowlist */
  readonly let_in: boolean | null
  readonly error: { readonly code: string; readonly message: string } | null
}

/** More than this is no page anybody reads. */
const MOST_CONNECTIONS = 20_000_000
/** Milliseconds of deciding between two turns of the event loop. */
const TURN_MS = 20

/** Answers a question. `onProgress` hears the share done, 0…1. Throws an InputError with everything that cannot be asked. */
export async function createMatrix(
  decider: Decider,
  question: MatrixQuestion,
  onProgress: (share: number) => void = () => {},
): Promise<Matrix> {
  const read = readQuestion(decider, question)
  const visitors = await Promise.all(read.people.map((person) => identifyPerson(decider, person, read.family)))
  const found = await resolveAll(decider, visitors, read.columns)
  const asked = { ...read, columns: withServices(read.columns, found.values()) }
  const verdicts = createVerdicts()
  const grids = asked.scenarios.map(() => visitors.map(() => new Uint32Array(asked.columns.length)))
  let turn = performance.now()
  for (const [row, { who, network }] of visitors.entries()) {
    for (const [at, column] of asked.columns.entries()) {
      const candidates = who instanceof GatewayError ? who : found.get(network.id)?.[at]
      if (candidates === undefined || who instanceof GatewayError || candidates instanceof GatewayError) {
        const failed = verdicts.ofError(candidates)
        for (const grid of grids) fill(grid, row, at, failed)
        continue
      }
      const pairs = flowsOf(decider.ports, { ...who, effectiveTarget: column.target, candidates })
      for (const [nth, { snapshot }] of asked.scenarios.entries()) {
        const decisions = pairs.map(({ flow }) => decide(snapshot, flow))
        // as the proxy does: the first address that has an egress
        const decision = decisions.find(({ egress }) => egress !== null) ?? decisions[0]
        fill(grids[nth], row, at, verdicts.of(decision, column.service))
      }
    }
    if (performance.now() - turn < TURN_MS) continue
    onProgress((row + 1) / visitors.length)
    await new Promise((resume) => setImmediate(resume))
    turn = performance.now()
  }
  return merge(asked, visitors, grids, verdicts.all)
}

type Grid = readonly Uint32Array[]

function fill(grid: Grid | undefined, row: number, column: number, verdict: number): void {
  const cells = grid?.[row]
  if (cells !== undefined) cells[column] = verdict
}

interface Person {
  readonly email: string | undefined
  readonly groups: readonly string[]
  /** as asked; absent: the one they are in */
  readonly vnet?: string
}

interface Visitor extends Person {
  readonly network: MatrixRow['virtual_network']
  readonly who: Identified | GatewayError
}

interface Column {
  readonly name: string
  readonly target: Target
  readonly service: Allowlist | undefined
}

interface Asked {
  readonly people: readonly Person[]
  readonly columns: readonly Column[]
  readonly scenarios: readonly { readonly down: readonly string[]; readonly snapshot: Snapshot }[]
  readonly family: 4 | 6 | undefined
}

function readQuestion({ config, snapshot }: Decider, question: MatrixQuestion): Asked {
  const issues: Issue[] = []
  const problems = { add: (issue: Issue) => void issues.push(issue) }
  const vnets = networksAsked(snapshot, question, problems)
  const people = peopleAsked(config, question, problems).flatMap((person): Person[] =>
    vnets === undefined ? [person] : vnets.map((vnet) => ({ ...person, vnet })),
  )
  const columns = columnsAsked(config, question, problems)
  const scenarios = scenariosAsked(snapshot, question, problems)
  const connections = people.length * columns.length * scenarios.length
  if (issues.length === 0 && connections === 0) {
    issues.push(unknown('matrix.empty', 'there is nobody or nowhere to ask about', 'name users and destinations'))
  }
  if (connections > MOST_CONNECTIONS) {
    const message = `${connections.toLocaleString('en-US')} connections are too many for one matrix`
    issues.push(unknown('matrix.too_many', message, 'name fewer users, destinations, networks or data centers'))
  }
  if (issues.length > 0) throw new InputError(issues)
  return { people, columns, scenarios, family: question.family }
}

interface Collected {
  readonly add: (issue: Issue) => void
}

function unknown(code: string, message: string, hint: string | undefined): Issue {
  return { severity: 'error', code, message, ...(hint === undefined ? {} : { hint }) }
}

function peopleAsked({ users }: LabConfig, { users: named, groups }: MatrixQuestion, { add }: Collected): Person[] {
  const all = users.map(({ identity }) => ({ email: identity.email, groups: identity.groups.map(({ name }) => name) }))
  const known = all.map(({ email }) => email)
  const wanted = named && new Set(named.map(canonicalEmail))
  for (const email of wanted?.difference(new Set(known)) ?? []) {
    add(unknown('matrix.unknown_user', `unknown user \`${email}\``, didYouMean(email, known, 'there are')))
  }
  const knownGroups = [...new Set(all.flatMap((person) => person.groups))]
  for (const group of new Set(groups).difference(new Set(knownGroups))) {
    const hint = didYouMean(group, knownGroups, 'there are')
    add(unknown('matrix.unknown_group', `no user is in a group \`${group}\``, hint))
  }
  if (users.length === 0) return [{ email: undefined, groups: [] }]
  return all.filter(
    (person) =>
      (wanted === undefined || wanted.has(person.email)) &&
      (groups === undefined || person.groups.some((group) => groups.includes(group))),
  )
}

function networksAsked({ account }: Snapshot, { vnets }: MatrixQuestion, { add }: Collected): string[] | undefined {
  const { virtualNetworks } = account
  if (vnets?.includes('all')) return virtualNetworks.map(({ id }) => id)
  return vnets?.flatMap((written) => {
    const wanted = written.toLowerCase()
    const found = virtualNetworks.find(({ id, name }) => id === wanted || name.toLowerCase() === wanted)
    if (found !== undefined) return [found.id]
    const names = virtualNetworks.map(({ name }) => name)
    add(unknown('matrix.unknown_network', `no virtual network \`${written}\``, didYouMean(written, names, 'there are')))
    return []
  })
}

function columnsAsked(config: LabConfig, { destinations }: MatrixQuestion, { add }: Collected): Column[] {
  const udpOnly = new Set(config.origins.filter(({ kind }) => kind === 'udp-echo').map(({ name }) => name))
  const own = config.destinations.flatMap(({ name, addresses: [first] }) => {
    if (name !== undefined) return udpOnly.has(name) ? [] : [name]
    const address = first?.public
    return address === undefined ? [] : [address.family === 6 ? `[${address.text}]` : address.text]
  })
  const targets = (destinations ?? own).flatMap((text) => {
    try {
      return [parseDestination(text)]
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown
      for (const issue of thrown.issues) add(issue)
      return []
    }
  })
  const byName = new Map(targets.map((target) => [formatTarget(target), target]))
  return [...byName].map(([name, target]) => ({ name, target, service: undefined }))
}

/** With the allowlist of the service there, as the resolver found it. */
function withServices(columns: readonly Column[], found: Iterable<readonly Found[]>): Column[] {
  const resolved = [...found]
  return columns.map((column, at) => {
    const known = resolved.map((ofNetwork) => ofNetwork[at]).find((one) => !(one instanceof GatewayError))
    return { ...column, service: known instanceof GatewayError ? undefined : known?.[0]?.allowlist }
  })
}

function scenariosAsked(snapshot: Snapshot, { down = [] }: MatrixQuestion, { add }: Collected): Asked['scenarios'] {
  const { dedicatedIps, colosDown } = snapshot.account
  const each = [...new Set(dedicatedIps.map(({ colo }) => colo))].filter((code) => !colosDown.has(code))
  const named = down.filter((code) => code.toLowerCase() !== 'each').map((code) => code.toUpperCase())
  const outages = [
    ...(named.length === 0 ? [] : [named]),
    ...(named.length === down.length ? [] : each.map((code) => [code])),
  ]
  try {
    return [[], ...outages].map((codes) => ({ down: codes, snapshot: withColosDown(snapshot, codes) }))
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    for (const issue of thrown.issues) add(issue)
    return []
  }
}

async function identifyPerson(
  { config, snapshot, ports }: Decider,
  person: Person,
  family: Asked['family'],
): Promise<Visitor> {
  const { email: user, vnet } = person
  const networks = snapshot.account.virtualNetworks
  const named = (wanted: string | undefined) => {
    const { id = '', name = '' } = networks.find((network) => network.id === wanted) ?? {}
    return { id, name }
  }
  const arrival = hypotheticalArrival(config, ANYWHERE, {
    protocol: 'tcp',
    ...(user === undefined ? {} : { user }),
    ...(vnet === undefined ? {} : { vnet }),
    ...(family === undefined ? {} : { family: family === 4 ? '4' : '6' }),
  })
  try {
    const who = await identify(ports, receive(arrival, arrival.target, snapshot), arrival)
    return { ...person, who, network: named(who.context.virtualNetworkId) }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    return { ...person, who: thrown, network: named(vnet) }
  }
}

/** A person is identified apart from where they go. */
const ANYWHERE = 'anywhere.invalid'
const RESOLVE_TIMEOUT_MS = 10_000

type Found = readonly Candidate[] | GatewayError

/** The addresses of every column by virtual network: of all that is known of people, they depend on that alone. */
async function resolveAll(
  { ports }: Decider,
  visitors: readonly Visitor[],
  columns: readonly Column[],
): Promise<ReadonlyMap<string, readonly Found[]>> {
  const found = new Map<string, readonly Found[]>()
  for (const { who, network } of visitors) {
    if (who instanceof GatewayError || found.has(network.id)) continue
    const resolveOne = async ({ target }: Column): Promise<Found> => {
      try {
        const named = await resolvePlaceholder(ports, { ...who, target })
        return (await resolveTarget(ports, named, AbortSignal.timeout(RESOLVE_TIMEOUT_MS))).candidates
      } catch (thrown) {
        if (thrown instanceof GatewayError) return thrown
        throw thrown
      }
    }
    found.set(network.id, await Promise.all(columns.map(resolveOne)))
  }
  return found
}

/** The different verdicts, each once. */
function createVerdicts() {
  const all: MatrixVerdict[] = []
  const places = new Map<string, number>()
  const known = new Map<Decision, Map<Allowlist | undefined, number>>()
  const placeOf = (verdict: MatrixVerdict): number => {
    const key = JSON.stringify(verdict)
    const before = places.get(key)
    if (before !== undefined) return before
    places.set(key, all.length)
    return all.push(verdict) - 1
  }
  return {
    all,
    of(decision: Decision | undefined, service: Allowlist | undefined): number {
      if (decision === undefined) return placeOf(failed('name.not_found', 'the destination has no address'))
      const byService = known.get(decision) ?? new Map<Allowlist | undefined, number>()
      const before = byService.get(service)
      if (before !== undefined) return before
      const place = placeOf(verdictOf(decision, service))
      if (known.size < MOST_REMEMBERED) known.set(decision, byService.set(service, place))
      return place
    },
    ofError: (error: Found | undefined): number =>
      placeOf(
        error instanceof GatewayError
          ? failed(error.code, error.message)
          : failed('name.not_found', 'the destination has no address'),
      ),
  }
}

/** Most decisions kept by identity; over IPv6 there is one for each person. */
const MOST_REMEMBERED = 100_000

function failed(code: string, message: string): MatrixVerdict {
  return {
    outcome: null,
    rule: null,
    egress: null,
    fallback: false,
    colo: null,
    let_in: null,
    error: { code, message },
  }
}

function verdictOf({ outcome, rule, egress, physicalColo }: Decision, service: Allowlist | undefined): MatrixVerdict {
  return {
    outcome,
    rule: rule === null ? null : { id: rule.id, name: rule.name, precedence: rule.precedence },
    egress: egress === null ? null : nameOfEgress(egress),
    fallback: egress?.fallback ?? false,
    colo: physicalColo?.code ?? null,
    let_in: service === undefined ? null : letsIn(service, egress?.address),
    error: null,
  }
}

function merge(
  { columns, scenarios, people }: Asked,
  visitors: readonly Visitor[],
  grids: readonly Grid[],
  verdicts: readonly MatrixVerdict[],
): Matrix {
  const rows = groupsOf(
    visitors.map(({ network }, at) => `${network.id} ${grids.map((grid) => grid[at]?.join()).join(' ')}`),
  )
  const across = groupsOf(
    columns.map(({ service }, at) => {
      const allow = service?.allow.map(rangeText).join() ?? '*'
      return `${allow} ${grids.map((grid) => rows.map(([row = 0]) => grid[row]?.[at]).join()).join(' ')}`
    }),
  )
  return {
    connections: visitors.length * columns.length * scenarios.length,
    rows: rows.map((members) =>
      rowOf(
        members.flatMap((at) => visitors[at] ?? []),
        people,
      ),
    ),
    columns: across.map((members) => {
      const allow = columns[members[0] ?? 0]?.service?.allow
      return { destinations: members.map((at) => columns[at]?.name ?? ''), allow: allow?.map(rangeText) ?? null }
    }),
    scenarios: scenarios.map(({ down }) => ({ colos_down: down })),
    verdicts,
    cells: grids.map((grid) => rows.map(([row = 0]) => across.map(([column = 0]) => grid[row]?.[column] ?? 0))),
  }
}

/** The places of equal keys, in the order of the first of each. */
function groupsOf(keys: readonly string[]): number[][] {
  return [...Map.groupBy(keys.keys(), (at) => keys[at]).values()]
}

function rowOf(members: readonly Visitor[], people: readonly Person[]): MatrixRow {
  const users = members.flatMap(({ email }) => email ?? [])
  const inRow = new Set(users)
  const groups = [...new Set(members.flatMap((member) => member.groups))].filter((group) =>
    people.every(({ email, groups: theirs }) => email === undefined || !theirs.includes(group) || inRow.has(email)),
  )
  return { users, groups, virtual_network: members[0]?.network ?? { id: '', name: '' } }
}
