// The policy's view of a state: the account value that decisions rest on. Pure.

import type { LabConfig } from '../config/lab-config.ts'
import type { LabState, ListDocument, PrivateRouteDocument, Stored } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { parseCidr } from '../net/cidr.ts'
import type { Account, AccountSettings, NamedList, PrivateRoute } from '../policy/account.ts'
import type { ColoCode } from '../policy/ids.ts'
import { COLOS } from '../policy/place.ts'
import type { Rule } from '../policy/rule.ts'
import { compileRuleset, type Ruleset } from '../policy/ruleset.ts'

/** The account of a state whose invariants hold. `lost`: data centers that cannot be reached, whatever the state says. Throws
 *  ChangeError `change.invalid` for an unknown colo. */
export function buildAccount(config: LabConfig, state: LabState, lost: ReadonlySet<ColoCode> = NONE): Account {
  const down = live(state.colo).filter((colo) => colo.down)
  for (const { id } of down) {
    if (!COLOS.has(id)) throw new ChangeError('change.invalid', `there is no data center \`${id}\``)
  }
  const settings = Object.fromEntries(live(state.setting).map(({ id, value }) => [id, value]))
  return Object.freeze({
    id: config.account.id,
    name: config.account.name,
    colos: COLOS,
    colosDown: new Set([...down.map(({ id }) => id), ...lost]),
    dedicatedIps: config.dedicatedIps,
    sharedEgress: config.sharedEgress,
    virtualNetworks: live(state.virtualNetwork),
    privateRoutes: live(state.privateRoute).map(privateRoute),
    hostnameRoutes: live(state.hostnameRoute),
    tunnelEgress: new Map(config.tunnels.flatMap(({ id, egress }) => (egress === undefined ? [] : [[id, egress]]))),
    lists: live(state.list).map(namedList),
    settings: Object.freeze({ ...config.settings, ...(settings as Partial<AccountSettings>) }),
  })
}

const NONE: ReadonlySet<ColoCode> = new Set()

function live<T>(documents: ReadonlyMap<string, Omit<Stored, 'value'> & { readonly value: T }>): T[] {
  return [...documents.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
}

function privateRoute(route: PrivateRouteDocument): PrivateRoute {
  const network = parseCidr(route.network)
  if (network === undefined) throw new ChangeError('change.invalid', `\`${route.network}\` is not a network`)
  return Object.freeze({ ...route, network })
}

/** The same list document always gives the same value, so that what is derived from its contents can be kept. */
function namedList(document: ListDocument): NamedList {
  const known = namedLists.get(document)
  if (known !== undefined) return known
  const { id, name, type, items } = document
  const list = Object.freeze({ id, name, type, items: Object.freeze(items.map(({ value }) => value)) })
  namedLists.set(document, list)
  return list
}

const namedLists = new WeakMap<ListDocument, NamedList>()

/** The live rules in the order of evaluation ([R2]). */
export function liveRules(state: LabState): readonly Rule[] {
  const live = [...state.rule.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
  return live.sort((a, b) => a.precedence - b.precedence)
}

/** The ruleset of a state; reuses `before` as far as possible. Throws ChangeError `change.expression`, with the
 *  language's drawing, for a rule that does not compile. */
export function compileRules(state: LabState, account: Account, before?: CompiledFrom): Ruleset {
  const known = before?.state.setting === state.setting ? before : undefined
  const hasSameLists = known?.state.list === state.list
  if (known?.state.rule === state.rule) {
    return hasSameLists ? known.ruleset : known.ruleset.withLists(account.lists)
  }
  const rules = liveRules(state)
  const { ruleset, problems } =
    known !== undefined && hasSameLists
      ? known.ruleset.withRules(rules)
      : compileRuleset(rules, account.lists, account.settings)
  const errors = problems.filter(({ severity }) => severity === 'error')
  const [first] = errors
  if (first === undefined) return ruleset
  const details = errors.map(({ rule, slot, problem, code, message }) => {
    return { rule: rule.id, slot, span: problem?.span, code, message }
  })
  throw new ChangeError('change.expression', first.drawing ?? first.message, { details: { problems: details } })
}

interface CompiledFrom {
  readonly state: LabState
  readonly ruleset: Ruleset
}
