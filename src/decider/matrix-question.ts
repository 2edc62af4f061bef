// The question for a matrix, read: who, where to, in which networks, with which data centers down. Everything that cannot be
// asked is told at once.

import type { LabConfig } from '../config/lab-config.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { formatTarget, type Target } from '../net/endpoint.ts'
import type { Allowlist } from '../policy/allowlist.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Decider } from './decider.ts'
import { parseDestination, withColosDown } from './explain-connection.ts'

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

/** More than this is no page anybody reads. */
const MOST_CONNECTIONS = 20_000_000
/** Somebody, in a network. */
export interface MatrixPerson {
  readonly email: string | undefined
  readonly groups: readonly string[]
  /** as asked; absent: the one they are in */
  readonly vnet?: string
}

export interface MatrixTarget {
  readonly name: string
  readonly target: Target
  readonly service: Allowlist | undefined
}

export interface MatrixAsked {
  readonly people: readonly MatrixPerson[]
  readonly columns: readonly MatrixTarget[]
  readonly scenarios: readonly { readonly down: readonly string[]; readonly snapshot: Snapshot }[]
  readonly family: 4 | 6 | undefined
}

/** What was asked, with names looked up. Throws an InputError with every problem. */
export function readQuestion({ config, snapshot }: Decider, question: MatrixQuestion): MatrixAsked {
  const issues: Issue[] = []
  const problems = { add: (issue: Issue) => void issues.push(issue) }
  const vnets = networksAsked(snapshot, question, problems)
  const people = peopleAsked(config, question, problems).flatMap((person): MatrixPerson[] =>
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

function peopleAsked(
  { users }: LabConfig,
  { users: named, groups }: MatrixQuestion,
  { add }: Collected,
): MatrixPerson[] {
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

function columnsAsked(config: LabConfig, { destinations }: MatrixQuestion, { add }: Collected): MatrixTarget[] {
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

function scenariosAsked(
  snapshot: Snapshot,
  { down = [] }: MatrixQuestion,
  { add }: Collected,
): MatrixAsked['scenarios'] {
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
