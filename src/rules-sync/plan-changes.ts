// Plans the changes that give one policy the contents of another. Objects are matched by id, else by name; only rules are ever
// deleted, and only on request. All conflicts are reported before anything changes.

import type { Json } from '../config/lab-state.ts'
import { InputError, type Issue, inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { CloudflareAccount } from './cloudflare-account.ts'
import { listFrom, networkFrom, ruleFrom } from './from-export.ts'
import { orderRules } from './order-rules.ts'
import type {
  PolicyChanges,
  PolicyObject,
  PolicyOutcome,
  PolicyStep,
  PortableList,
  PortableNetwork,
  PortablePolicy,
  PortableRule,
} from './portable-policy.ts'
import { bodyFor, differencesOf, plainId, renameIds, renameIdsIn, unknownFields } from './rule-differences.ts'
import { API_FIELDS } from './write-policy.ts'

export interface PlanOptions {
  /** delete egress rules that only the target has; or those of its rules that this chooses */
  readonly prune: boolean | ((rule: PortableRule) => boolean)
  /** fields that the source does not have go, where they would stay */
  readonly exact?: boolean
}

/** The changes. `there` as {@link asAccount} has it, where it is a file. Throws an InputError for things that contradict each
 *  other. */
export function planChanges(wanted: PortablePolicy, there: PortablePolicy, options: PlanOptions): PolicyChanges {
  const { prune, exact = false } = options
  const issues: Issue[] = []
  const lists = pairUp('list', wanted.lists, there.lists, issues)
  const networks = pairUp('virtual network', wanted.virtualNetworks, there.virtualNetworks, issues).map(
    withDefault(there),
  )
  const known = new Map([...lists, ...networks].flatMap(([mine, theirs]) => idPair(mine, theirs)))
  const rules = pairUp(
    'rule',
    wanted.rules.map((rule) => renameIds(rule, known)),
    there.rules,
    issues,
  )
  const matched = new Set(rules.map(([, theirs]) => theirs?.id))
  const only = there.rules.filter(({ id }) => !matched.has(id))
  const isPruned =
    typeof prune === 'function' ? prune : ({ fields }: PortableRule) => prune && fields.action === 'egress'
  const pruned = only.filter(isPruned)
  const stays = only.filter((rule) => !pruned.includes(rule))
  const steps = ruleSteps(rules, there.rules, exact)
  issues.push(...precedenceIssues(steps, stays, wanted.source))
  if (issues.length > 0) throw new InputError(issues)
  const all = [
    ...networks.flatMap(([mine, theirs]) => networkStep(mine, theirs)),
    ...lists.flatMap(([mine, theirs]) => listStep(mine, theirs)),
    ...orderRules([...steps.filter(changes), ...pruned.map(deletion)], there.rules),
  ]
  const pairs = rules.length + lists.length + networks.length
  return {
    from: wanted.source,
    to: there.source,
    steps: all,
    unchanged: pairs - all.filter(({ action }) => action === 'create' || action === 'update').length,
    leftAlone: stays.map(({ name }) => name),
    notes: [...new Set([...wanted.notes, ...there.notes]), ...wanted.rules.flatMap(notSent)],
  }
}

/** A policy of a file as that of an account, which has an id for everything, and a default network. What the file has no id of
 *  goes by its name; its default network is that of `other`, where it has none. */
export function asAccount(policy: PortablePolicy, other: PortablePolicy): PortablePolicy {
  const hasDefault = policy.virtualNetworks.some(({ isDefault }) => isDefault)
  const defaults = hasDefault ? [] : other.virtualNetworks.filter(({ isDefault }) => isDefault)
  return {
    ...policy,
    rules: withIds(policy.rules),
    lists: withIds(policy.lists),
    virtualNetworks: withIds([...policy.virtualNetworks, ...defaults]),
  }
}

function withIds<T extends Named>(things: readonly T[]): T[] {
  const taken = new Set(things.map(({ id }) => id))
  return things.map((thing) => {
    if (thing.id !== undefined) return thing
    const id = freeName(thing.name, (text) => taken.has(text))
    taken.add(id)
    return { ...thing, id }
  })
}

/** The name, or the name with the first number from 2 that nothing has: `Partners (2)`. */
export function freeName(name: string, isTaken: (name: string) => boolean): string {
  let free = name
  for (let number = 2; isTaken(free); number++) free = `${name} (${number})`
  return free
}

interface Named {
  readonly id?: string
  readonly name: string
}

type Pair<T> = readonly [T, T | undefined]

function pairUp<T extends Named>(
  thing: PolicyObject,
  wanted: readonly T[],
  there: readonly T[],
  issues: Issue[],
): Pair<T>[] {
  const byId = new Map(there.map((one) => [plainId(one.id ?? ''), one]))
  const taken = new Set<T>()
  const first = wanted.map((mine): Pair<T> => {
    const same = mine.id === undefined ? undefined : byId.get(plainId(mine.id))
    if (same !== undefined) taken.add(same)
    return [mine, same]
  })
  return first.map(([mine, same]): Pair<T> => {
    if (same !== undefined) return [mine, same]
    const called = there.filter((one) => one.name === mine.name && !taken.has(one))
    if (called.length > 1) {
      const message = `${called.length} ${thing}s of the target are named \`${mine.name}\`, and none has its id`
      issues.push({ severity: 'error', code: 'rules.ambiguous', message, hint: 'add the id of the right one' })
    }
    const [only] = called
    if (only !== undefined) taken.add(only)
    return [mine, only]
  })
}

/** Each account has its default network, whatever it is called. */
function withDefault({ virtualNetworks }: PortablePolicy): (pair: Pair<PortableNetwork>) => Pair<PortableNetwork> {
  const theirDefault = virtualNetworks.find(({ isDefault }) => isDefault)
  return ([mine, theirs]) => [mine, theirs ?? (mine.isDefault ? theirDefault : undefined)]
}

function idPair(mine: Named, theirs: Named | undefined): [string, string][] {
  return mine.id === undefined || theirs?.id === undefined ? [] : [[mine.id, theirs.id]]
}

function ruleSteps(pairs: readonly Pair<PortableRule>[], there: readonly PortableRule[], exact: boolean): PolicyStep[] {
  const known = [...there, ...pairs.map(([mine]) => mine)].flatMap(({ precedence }) => precedence ?? [])
  let largest = Math.max(0, ...known)
  return pairs.map(([mine, theirs]) => {
    const given = mine.precedence ?? theirs?.precedence
    if (given === undefined) largest += 1000
    const precedence = given ?? largest
    const body = bodyFor(mine, exact ? undefined : theirs, precedence)
    return {
      action: theirs === undefined ? 'create' : 'update',
      thing: 'rule',
      name: mine.name,
      precedence,
      differences: differencesOf(body, theirs),
      body,
      ...(theirs?.id === undefined ? {} : { id: theirs.id }),
      ...(mine.id === undefined ? {} : { sourceId: mine.id }),
    }
  })
}

function changes({ action, differences }: PolicyStep): boolean {
  return action !== 'update' || differences.length > 0
}

/** A precedence that a rule has which stays as it is, or that two rules want. */
function precedenceIssues(steps: readonly PolicyStep[], stays: readonly PortableRule[], file: string): Issue[] {
  const holders = new Map(stays.map(({ precedence, name }) => [precedence, name]))
  return steps.flatMap(({ precedence, name }): Issue[] => {
    const other = holders.get(precedence)
    holders.set(precedence, name)
    if (other === undefined) return []
    const message = `precedence ${precedence} of rule \`${name}\` is taken by rule \`${other}\``
    const hint = "change one precedence, or use `--prune` to delete the target's own rules"
    return [{ severity: 'error', code: 'rules.precedence_taken', message, hint, file }]
  })
}

function deletion({ name, id = '', precedence, fields }: PortableRule): PolicyStep {
  const at = precedence === undefined ? {} : { precedence }
  return { action: 'delete', thing: 'rule', name, id, ...at, differences: [], body: fields }
}

function listStep(mine: PortableList, theirs: PortableList | undefined): PolicyStep[] {
  const { name, type, description, items } = mine
  const body = {
    name,
    type,
    description: description === '' ? (theirs?.description ?? '') : description,
    items: items.map((item) => ({
      value: item.value,
      ...(item.description === null ? {} : { description: item.description }),
    })),
  }
  if (theirs === undefined)
    return [step('create', 'list', mine, body, [{ field: 'items', after: items.map(itemValue) }])]
  if (theirs.type !== type) {
    const message = `the list \`${name}\` is of type ${theirs.type} in the target and of type ${type} in the file; the type of a list is fixed`
    throw inputError('rules.list_type', message, { hint: 'rename one of them' })
  }
  const added = items.map(itemValue).filter((value) => !theirs.items.some((item) => item.value === value))
  const removed = theirs.items.map(itemValue).filter((value) => !items.some((item) => item.value === value))
  const differences = [
    ...(name === theirs.name ? [] : [{ field: 'name', before: theirs.name, after: name }]),
    ...(body.description === theirs.description
      ? []
      : [{ field: 'description', before: theirs.description, after: body.description }]),
    ...added.map((after) => ({ field: 'items', after })),
    ...removed.map((before) => ({ field: 'items', before })),
  ]
  return differences.length === 0 ? [] : [{ ...step('update', 'list', mine, body, differences), id: theirs.id ?? '' }]
}

function networkStep(mine: PortableNetwork, theirs: PortableNetwork | undefined): PolicyStep[] {
  const body = { name: mine.name, comment: mine.comment }
  if (theirs === undefined) {
    return [
      step('create', 'virtual network', mine, { ...body, is_default: false }, [
        { field: 'comment', after: mine.comment },
      ]),
    ]
  }
  if (theirs.isDefault) return []
  const differences = (['name', 'comment'] as const).flatMap((field) =>
    mine[field] === theirs[field] || mine[field] === '' ? [] : [{ field, before: theirs[field], after: mine[field] }],
  )
  if (differences.length === 0) return []
  return [{ ...step('update', 'virtual network', mine, body, differences), id: theirs.id ?? '' }]
}

function step(
  action: PolicyStep['action'],
  thing: PolicyObject,
  { id, name }: Named,
  body: { readonly [key: string]: Json },
  differences: PolicyStep['differences'],
): PolicyStep {
  return { action, thing, name, ...(id === undefined ? {} : { sourceId: id }), differences, body }
}

function itemValue({ value }: { readonly value: string }): string {
  return value
}

function notSent(rule: PortableRule): string[] {
  const unknown = unknownFields(rule, API_FIELDS)
  if (unknown.length === 0) return []
  return [
    `${unknown.map((name) => `\`${name}\``).join(', ')} of rule \`${rule.name}\` is not sent: the API has no such field`,
  ]
}

/** Makes the changes one by one. A step that fails ends it, and what was done to rules is undone: the target is read again,
 *  since the failed step may have been done all the same, and gets what it had `before`. New lists and networks stay. */
export async function applyChanges(
  { steps }: PolicyChanges,
  before: PortablePolicy,
  account: CloudflareAccount,
  onDone: (step: PolicyStep) => void = () => {},
): Promise<PolicyOutcome> {
  const { done, failed } = await carryOutAll(steps, account, onDone)
  if (failed === undefined) return { done, notDone: [] }
  const outcome = { done, failed, notDone: steps.slice(done.length + 1) }
  const stays = done.filter(({ action, thing }) => action === 'create' && thing !== 'rule')
  const created = new Set(steps.filter(isCreatedRule).map(({ precedence, name }) => `${precedence} ${name}`))
  try {
    const prune = ({ precedence, name }: PortableRule) => created.has(`${precedence} ${name}`)
    const back = planChanges(before, await account.read(), { prune, exact: true })
    const undoing = await carryOutAll(back.steps, account, () => {})
    const undoFailed = undoing.failed === undefined ? {} : { undoFailed: undoing.failed.message }
    return { ...outcome, stays, undone: undoing.done, ...undoFailed }
  } catch (thrown) {
    return { ...outcome, stays, undone: [], undoFailed: messageOf(thrown) }
  }
}

function isCreatedRule({ action, thing }: PolicyStep): boolean {
  return action === 'create' && thing === 'rule'
}

/** Stops at the first step that fails. */
async function carryOutAll(
  steps: readonly PolicyStep[],
  account: CloudflareAccount,
  onDone: (step: PolicyStep) => void,
): Promise<Pick<PolicyOutcome, 'done' | 'failed'>> {
  const made = new Map<string, string>()
  const done: PolicyStep[] = []
  for (const step of steps) {
    try {
      const id = await account.carryOut({ ...step, body: renameIdsIn(step.body, made) })
      if (step.action === 'create' && step.sourceId !== undefined) made.set(step.sourceId, id)
    } catch (thrown) {
      return { done, failed: { step, message: messageOf(thrown) } }
    }
    done.push(step)
    onDone(step)
  }
  return { done }
}

/** The target after the changes. Things that do not exist yet go by the ids their source knows them by. */
export function resultingPolicy(there: PortablePolicy, { steps }: PolicyChanges): PortablePolicy {
  return {
    ...there,
    rules: after('rule', there.rules, steps, ruleFrom),
    lists: after('list', there.lists, steps, (fields) => listFrom(fields)),
    virtualNetworks: after('virtual network', there.virtualNetworks, steps, networkFrom),
  }
}

function after<T extends { readonly id?: string }>(
  thing: PolicyObject,
  there: readonly T[],
  steps: readonly PolicyStep[],
  read: (fields: PolicyStep['body']) => T,
): T[] {
  const own = steps.filter((step) => step.thing === thing)
  const touched = new Set(own.map(({ id }) => id))
  const last = new Map(own.map((step) => [step.id ?? step.sourceId ?? step.name, step]))
  const written = [...last].filter(([, { action }]) => action !== 'delete')
  return [
    ...there.filter(({ id }) => id === undefined || !touched.has(id)),
    ...written.map(([id, { body }]) => read({ ...body, id })),
  ]
}
