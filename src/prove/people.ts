// Who connects, and from which device: nobody, somebody of the configuration, or anybody at all, with any set of
// groups, attributes and passed checks. Sets are a Boolean per kind of member.

import { type BackwardScan, bytesOf, textOf, type Value } from '../expression/index.ts'
import type { Device, Identity, UserGroup } from '../policy/flow.ts'
import { namedFlowValues } from '../policy/flow-values.ts'
import { type Axis, emptyValues, listAxis, putField, truthOf, type Values } from './axes.ts'
import type { Model } from './solver.ts'
import type { World, WorldDevice, WorldPerson } from './subject.ts'
import { and, iff, not, or, type Script, type Term, within } from './terms.ts'
import { textClasses } from './text-classes.ts'
import {
  afterKey,
  comparisonsOf,
  type FieldTest,
  type Leaf,
  type ProofVocabulary,
  TextTestCollector,
} from './vocabulary.ts'

/** One kind of member of a set: whether the connection has it, and the values it alone would give. */
interface Kind {
  readonly has: Term
  readonly put: (values: Values) => void
  readonly text: string
  /** of an attribute: what stands before its value and an equals sign */
  readonly key?: string
}

const GROUP_FIELDS = ['identity.groups.name', 'identity.groups.id', 'identity.groups.email'] as const
const SAML = 'identity.saml_attributes'
const OIDC = 'identity.oidc_claims'

/** `undefined` of a leaf: it cannot be told from these parts. */
export type TermOf = (leaf: Leaf) => Term | undefined

export interface PersonTerms {
  readonly termOf: TermOf
  /** what a connection by this person must be */
  readonly isSomebodyKnown: Term
  readonly isAnybody: Term
  readonly isNobody: Term
  readonly is: (person: WorldPerson) => Term
  /** anybody in this declared group, by its number, and in no other */
  readonly onlyIn: (group: number) => Term
  /** it is the one that was found */
  readonly sameIn: (model: Model) => Term
  readonly identityIn: (model: Model) => Identity | undefined
  readonly personIn: (model: Model) => WorldPerson | undefined
}

/** The person of a connection. */
export function createPeople(script: Script, vocabulary: ProofVocabulary, { people, groups }: World): PersonTerms {
  const puts = people.map(({ identity }) => {
    const named = [...namedFlowValues(bare(identity), true)].filter(([field]) => field.startsWith('identity.'))
    return (values: Values) => {
      clear(values)
      for (const [field, value] of named) putField(values, field, value)
    }
  })
  const axis = listAxis(script, 'person', IDENTITY_FIELDS, [clear, ...puts, clear])
  const anybody = people.length + 1
  const isAnybody = within(axis.variable, [[anybody, anybody]])
  const email = scalarAxis(script, vocabulary, 'identity.email', 'somebody@example.com')
  const name = scalarAxis(script, vocabulary, 'identity.name', 'Somebody')
  const sets = groupKinds(script, vocabulary, groups)
  const attributes = attributeKinds(script, vocabulary, SAML)
  const claims = attributeKinds(script, vocabulary, OIDC)
  const ofAnybody: TermOf = (leaf) => {
    const [field, ...others] = leaf.fields
    if (others.length === 0 && field === 'identity.email') return email && within(email.variable, email.holding(leaf))
    if (others.length === 0 && field === 'identity.name') return name && within(name.variable, name.holding(leaf))
    if (others.length === 0 && field === SAML) return attributes && memberTerm(leaf, attributes)
    if (others.length === 0 && field === OIDC) return claims && memberTerm(leaf, claims)
    if (![...leaf.fields].every((one) => GROUP_FIELDS.some((each) => each === one))) return undefined
    if (others.length > 0 || sets === undefined) return undefined
    return memberTerm(leaf, [...sets.declared, ...(sets.others.get(field ?? '') ?? [])])
  }
  return {
    isAnybody,
    isNobody: within(axis.variable, [[0, 0]]),
    isSomebodyKnown: within(axis.variable, [[0, people.length]]),
    is: (person) => {
      const at = people.indexOf(person) + 1
      return within(axis.variable, [[at, at]])
    },
    onlyIn: (group) => {
      const declared = sets?.declared ?? []
      const others = [...(sets?.others.values() ?? [])].flat()
      return and([
        isAnybody,
        ...declared.map(({ has }, at) => (at === group ? has : not(has))),
        ...others.map(({ has }) => not(has)),
      ])
    },
    sameIn: (model) => {
      const at = model.numberOf(axis.variable)
      return within(axis.variable, [[at, at]])
    },
    termOf: (leaf) => withAnybody(axis, anybody, isAnybody, leaf, ofAnybody),
    personIn: (model) => people[model.numberOf(axis.variable) - 1],
    identityIn: (model) => {
      const at = model.numberOf(axis.variable)
      if (at < anybody) return people[at - 1]?.identity
      const textIn = (one: Axis | undefined) => {
        const values = emptyValues()
        one?.put(model.numberOf(one.variable), values)
        return textOf(String(values.find((value) => value !== undefined) ?? ''))
      }
      return {
        id: '00000000-0000-4000-8000-000000000000',
        email: textIn(email),
        name: textIn(name),
        groups: sets === undefined ? [] : groupsIn(model, sets, groups),
        samlAttributes: attributesIn(model, attributes ?? []),
        oidcClaims: attributesIn(model, claims ?? []),
      }
    },
  }
}

const IDENTITY_FIELDS = ['identity.email', 'identity.name', ...GROUP_FIELDS, SAML, OIDC]

function clear(values: Values): void {
  for (const field of IDENTITY_FIELDS) putField(values, field, undefined)
}

function bare(identity: Identity): Parameters<typeof namedFlowValues>[0] {
  const nowhere = { ip: { family: 4, words: [1], text: '0.0.0.1' }, port: 1 } as const
  return {
    transport: 'tcp',
    source: nowhere,
    destination: nowhere,
    virtualNetworkId: '',
    identity,
    proxiedByCloudflare: false,
    contentCategories: [],
    applications: [],
  }
}

/** The known members of an axis by evaluation, the open last one by its own parts. */
function withAnybody(axis: Axis, open: number, isOpen: Term, leaf: Leaf, ofOpen: TermOf): Term | undefined {
  const known = within(
    axis.variable,
    axis.holding(leaf).flatMap(([first, last]) => (first < open ? [[first, Math.min(last, open - 1)] as const] : [])),
  )
  const other = ofOpen(leaf)
  return other === undefined ? undefined : or([known, and([isOpen, other])])
}

/** A quantifier over a set: `any` needs a member that passes, `all` has none that fails. Undefined for leaves about
 *  positions, also those at which two keys of a map are compared. */
function memberTerm(leaf: Leaf, kinds: readonly Kind[]): Term | undefined {
  const { node } = leaf
  const accesses = comparisonsOf(node).map(({ access }) => access)
  const paths = new Set(accesses.map(({ field, indexes }) => JSON.stringify([field.name, indexes])))
  const isPlain = paths.size === 1 && accesses.every(({ indexes }) => indexes.every(({ kind }) => kind !== 'element'))
  if (node.kind !== 'quantifier' || !isPlain) return undefined
  const isTrue = truthOf(leaf)
  const passing = kinds.filter(({ put }) => {
    const values = emptyValues()
    put(values)
    return isTrue(values)
  })
  if (node.op === 'any') return or(passing.map(({ has }) => has))
  return and(kinds.filter((kind) => !passing.includes(kind)).map(({ has }) => not(has)))
}

function scalarAxis(script: Script, vocabulary: ProofVocabulary, field: string, shown: string): Axis | undefined {
  const texts = classesOf(vocabulary.testsOf(field), shown)
  if (texts === undefined) return undefined
  const puts = texts.map((text) => (values: Values) => putField(values, field, text))
  return listAxis(script, field.replaceAll('.', '_'), [field], puts)
}

function classesOf(tests: readonly FieldTest[], shown: string, also: readonly string[] = []): string[] | undefined {
  const collector = new TextTestCollector()
  for (const test of tests) collector.add(test)
  for (const text of also) collector.equal.add(text)
  const { equal, folded, scans } = collector
  const classes = textClasses({ equal, folded, scans, preferred: [shown] })
  return classes === undefined ? undefined : classes.texts.filter((text) => !classes.doubtful.has(text))
}

interface GroupKinds {
  readonly declared: readonly Kind[]
  /** by field: what groups unknown to the configuration are called */
  readonly others: ReadonlyMap<string, readonly Kind[]>
}

/** Members of a set have names, ids and addresses in any combination: as sets, these are free of each other, but none
 *  is empty alone. Undefined if the texts cannot be cut. */
function groupKinds(script: Script, vocabulary: ProofVocabulary, groups: readonly UserGroup[]): GroupKinds | undefined {
  const declared = groups.map((group, at): Kind => {
    const values = [...namedFlowValues(bare({ ...NOBODY, groups: [group] }), true)]
    return {
      has: script.boolean(`group_${at}`),
      text: group.name,
      put: (into) => {
        for (const [field, value] of values) if (field.startsWith('identity.groups.')) putField(into, field, value)
      },
    }
  })
  const others = new Map<string, readonly Kind[]>()
  for (const [number, field] of GROUP_FIELDS.entries()) {
    const taken = groups.map((group) =>
      field.endsWith('name') ? group.name : field.endsWith('id') ? group.id : group.email,
    )
    const shown = field.endsWith('name') ? 'Others' : field.endsWith('id') ? '00000000-0000-4000-8000-0000000000ff' : ''
    const texts = classesOf(vocabulary.testsOf(field), shown, taken)
    if (texts === undefined) return undefined
    const own = texts.filter((text) => text === '' || !taken.includes(textOf(text)))
    const kinds = own.map((text, at): Kind => {
      return { has: script.boolean(`group_${number}_${at}`), text, put: (into) => putField(into, field, [text]) }
    })
    others.set(field, kinds)
  }
  const [names, ...rest] = [...others.values()].map((kinds) => or(kinds.map(({ has }) => has)))
  for (const other of rest) script.assert(iff(names ?? 'false', other))
  return { declared, others }
}

const NOBODY: Identity = { id: '', email: '', name: '', groups: [], samlAttributes: new Map(), oidcClaims: new Map() }

function groupsIn(model: Model, { declared, others }: GroupKinds, groups: readonly UserGroup[]): readonly UserGroup[] {
  const known = groups.filter((_, at) => model.holds(declared[at]?.has ?? 'false'))
  const textsOf = (field: string) =>
    (others.get(field) ?? []).filter(({ has }) => model.holds(has)).map(({ text }) => textOf(text))
  const [names = [], ids = [], emails = []] = GROUP_FIELDS.map(textsOf)
  const length = Math.max(names.length, ids.length, emails.length)
  const at = (texts: readonly string[], index: number) => texts[Math.min(index, texts.length - 1)] ?? ''
  const free = Array.from({ length }, (_, index) => {
    return { name: at(names, index), id: at(ids, index), email: at(emails, index) }
  })
  return [...known, ...free]
}

/** Attributes as a set of `key=value` texts; undefined if a test needs more than that. */
function attributeKinds(
  script: Script,
  vocabulary: ProofVocabulary,
  field: typeof SAML | typeof OIDC,
): readonly Kind[] | undefined {
  const collector = new TextTestCollector()
  for (const test of vocabulary.testsOf(field)) {
    const [first, second, ...further] = test.node.access.indexes
    if (further.length > 0) return undefined
    const isText = first?.kind === 'pairs' || (field === OIDC && first?.kind === 'each')
    if (isText && second === undefined) collector.add(test)
    else if (first?.kind === 'key' && second?.kind === 'each' && !first.key.includes('=')) {
      const wrap = afterKey(first.key)
      collector.add(test, wrap)
      collector.addScan(wrap.text(''), wrap.scan(ANY_TEXT))
    } else return undefined
  }
  collector.addScan('has =', HAS_KEY)
  collector.addScan('has two =', HAS_TWO)
  const { equal, folded, scans } = collector
  const classes = textClasses({ equal, folded, scans, preferred: ['other=value'] })
  const texts = classes?.texts.filter((text) => text.includes('=') && !classes.doubtful.has(text))
  const kinds = texts?.flatMap((text) => {
    const [first, last] = [text.indexOf('='), text.lastIndexOf('=')]
    // `a=b=c` is what the key `a` has, or what the key `a=b` has
    return (first === last ? [first] : [first, last]).map((end) => ({ text, key: text.slice(0, end) }))
  })
  return kinds?.map(({ text, key }, at): Kind => {
    const value: Value = field === OIDC ? [text] : new Map([[key, [text.slice(key.length + 1)]]])
    return { has: script.boolean(`${field.slice(9)}_${at}`), text, key, put: (into) => putField(into, field, value) }
  })
}

const EQUALS = 0x3d
const ANY_TEXT: BackwardScan = { start: 0, step: () => 0, accepts: () => true, columns: new Array(256).fill(0) }
const HAS_KEY = hasEquals(1)
const HAS_TWO = hasEquals(2)

function hasEquals(least: number): BackwardScan {
  return {
    start: 0,
    step: (state, byte) => Math.min(least, byte === EQUALS ? state + 1 : state),
    accepts: (state) => state === least,
    columns: Array.from({ length: 256 }, (_, byte) => (byte === EQUALS ? 1 : 0)),
  }
}

/** Keys in byte order, as the language has them. */
function attributesIn(model: Model, kinds: readonly Kind[]): ReadonlyMap<string, readonly string[]> {
  const byKey = Map.groupBy(
    kinds.filter(({ has }) => model.holds(has)),
    ({ key = '' }) => key,
  )
  const valuesOf = (key: string, own: readonly Kind[]) => own.map(({ text }) => textOf(text.slice(key.length + 1)))
  return new Map([...byKey].map(([key, own]) => [textOf(key), valuesOf(key, own)] as const))
}

const POSTURE_FIELDS = ['device_posture.checks.passed', 'device_posture.checks.failed'] as const

export interface DeviceTerms {
  readonly termOf: TermOf
  readonly isSomeKnown: Term
  readonly isNone: Term
  readonly isAny: Term
  readonly is: (device: WorldDevice) => Term
  readonly deviceIn: (model: Model) => Device | undefined
  readonly knownIn: (model: Model) => WorldDevice | undefined
}

/** The device of a connection: none, one of the configuration, or any with any checks passed and failed. */
export function createDevices(script: Script, vocabulary: ProofVocabulary, { devices }: World): DeviceTerms {
  const clearPosture = (values: Values) => {
    for (const field of POSTURE_FIELDS) putField(values, field, undefined)
  }
  const puts = devices.map(({ device: { posture } }) => (values: Values) => {
    clearPosture(values)
    if (posture.passed.length > 0) putField(values, POSTURE_FIELDS[0], posture.passed.map(bytesOf))
    if (posture.failed.length > 0) putField(values, POSTURE_FIELDS[1], posture.failed.map(bytesOf))
  })
  const axis = listAxis(script, 'device', POSTURE_FIELDS, [clearPosture, ...puts, clearPosture])
  const any = devices.length + 1
  const isAny = within(axis.variable, [[any, any]])
  const [passed, failed] = POSTURE_FIELDS.map((field, at) => {
    const texts = classesOf(vocabulary.testsOf(field), '00000000-0000-4000-8000-0000000000cc')
    return texts?.map((text, number): Kind => {
      return { has: script.boolean(`check_${at}_${number}`), text, put: (into) => putField(into, field, [text]) }
    })
  })
  for (const one of passed ?? []) {
    const other = failed?.find(({ text }) => text === one.text)
    if (other !== undefined) script.assert(not(and([one.has, other.has])))
  }
  const textsIn = (model: Model, kinds: readonly Kind[] = []) =>
    kinds.filter(({ has }) => model.holds(has)).map(({ text }) => textOf(text))
  return {
    isAny,
    isNone: within(axis.variable, [[0, 0]]),
    isSomeKnown: within(axis.variable, [[0, devices.length]]),
    is: (device) => {
      const at = devices.indexOf(device) + 1
      return within(axis.variable, [[at, at]])
    },
    termOf: (leaf) =>
      withAnybody(axis, any, isAny, leaf, (one) => {
        const [field, ...others] = one.fields
        const kinds = field === POSTURE_FIELDS[0] ? passed : field === POSTURE_FIELDS[1] ? failed : undefined
        return others.length > 0 || kinds === undefined ? undefined : memberTerm(one, kinds)
      }),
    knownIn: (model) => devices[model.numberOf(axis.variable) - 1],
    deviceIn: (model) => {
      const at = model.numberOf(axis.variable)
      if (at < any) return devices[at - 1]?.device
      const posture = { passed: textsIn(model, passed), failed: textsIn(model, failed) }
      return { id: '00000000-0000-4000-8000-0000000000dd', name: 'any-device', posture }
    },
  }
}
