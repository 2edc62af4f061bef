// Who leaves from where, as a whole: people × virtual networks down, destinations across, once per outage that is assumed.
// Each connection goes through the stages of the proxy and the very decide() of it; rows and columns that are equal in every
// cell are one.

import { GatewayError } from '../errors/gateway-error.ts'
import { rangeText } from '../net/cidr.ts'
import { type Allowlist, letsIn } from '../policy/allowlist.ts'
import { decide } from '../policy/decide.ts'
import { type Decision, type DecisionOutcome, nameOfEgress } from '../policy/decision.ts'
import type { Candidate, Identified } from '../proxy/stage-values.ts'
import { flowsOf, identify, receive, resolvePlaceholder, resolveTarget } from '../proxy/stages.ts'
import type { Decider } from './decider.ts'
import { hypotheticalArrival, withGuess } from './explain-connection.ts'
import {
  type MatrixAsked,
  type MatrixPerson,
  type MatrixQuestion,
  type MatrixTarget,
  readQuestion,
} from './matrix-question.ts'

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

interface Visitor extends MatrixPerson {
  readonly network: MatrixRow['virtual_network']
  readonly who: Identified | GatewayError
}

/** With the allowlist of the service there, as the resolver found it. */
function withServices(columns: readonly MatrixTarget[], found: Iterable<readonly Found[]>): MatrixTarget[] {
  const resolved = [...found]
  return columns.map((column, at) => {
    const known = resolved.map((ofNetwork) => ofNetwork[at]).find((one) => !(one instanceof GatewayError))
    return { ...column, service: known instanceof GatewayError ? undefined : known?.[0]?.allowlist }
  })
}

async function identifyPerson(
  { config, snapshot, ports }: Decider,
  person: MatrixPerson,
  family: MatrixAsked['family'],
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
  { ports, config }: Decider,
  visitors: readonly Visitor[],
  columns: readonly MatrixTarget[],
): Promise<ReadonlyMap<string, readonly Found[]>> {
  const found = new Map<string, readonly Found[]>()
  for (const { who, network } of visitors) {
    if (who instanceof GatewayError || found.has(network.id)) continue
    const resolveOne = async ({ target }: MatrixTarget): Promise<Found> => {
      try {
        const named = await resolvePlaceholder(ports, { ...who, target })
        return (await resolveTarget(ports, named, AbortSignal.timeout(RESOLVE_TIMEOUT_MS))).candidates
      } catch (thrown) {
        const told = withGuess(thrown, target, config)
        if (told instanceof GatewayError) return told
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
  { columns, scenarios, people }: MatrixAsked,
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

function rowOf(members: readonly Visitor[], people: readonly MatrixPerson[]): MatrixRow {
  const users = members.flatMap(({ email }) => email ?? [])
  const inRow = new Set(users)
  const groups = [...new Set(members.flatMap((member) => member.groups))].filter((group) =>
    people.every(({ email, groups: theirs }) => email === undefined || !theirs.includes(group) || inRow.has(email)),
  )
  return { users, groups, virtual_network: members[0]?.network ?? { id: '', name: '' } }
}
