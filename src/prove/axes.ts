// The parts of a connection, each cut into classes that no expression in question tells apart, with a value of each
// class. A leaf that speaks of one axis only is true of a set of its classes, found by evaluating it there.

import { addressAt, domainOf, GREATEST_IP, IPV6_START, pointOf } from '../analysis/condition.ts'
import { compileNode, formatNode, type Value } from '../expression/index.ts'
import { ip } from '../net/ip.ts'
import { GATEWAY_SCHEME } from '../policy/fields.ts'
import { withParents } from '../policy/flow-values.ts'
import { COUNTRIES, type Place } from '../policy/place.ts'
import type { World } from './subject.ts'
import { type ClassRanges, type ClassVariable, rangesOfNumbers, type Script, type Term } from './terms.ts'
import { hostClasses, textClasses } from './text-classes.ts'
import {
  comparisonsOf,
  isPlainMembership,
  keyOfLeaf,
  type Leaf,
  type ProofVocabulary,
  TextTestCollector,
} from './vocabulary.ts'

/** Values by slot, being put together. */
export type Values = (Value | undefined)[]

export interface Axis {
  readonly variable: ClassVariable
  readonly fields: ReadonlySet<string>
  /** Writes the values of a class. */
  readonly put: (at: number, values: Values) => void
  /** The classes in which a leaf about these fields alone is true. */
  readonly holding: (leaf: Leaf) => ClassRanges
  /** the class to take where any will do */
  readonly ordinary?: number
}

/** Values of a flow with every field absent, for {@link putField} to fill in. */
export function emptyValues(): Values {
  return new Array<Value | undefined>(GATEWAY_SCHEME.fields.size).fill(undefined)
}

/** Writes a field's value. */
export function putField(values: Values, field: string, value: Value | undefined): void {
  const slot = GATEWAY_SCHEME.fields.get(field)?.slot
  if (slot === undefined) throw new RangeError(`unknown field ${field}`)
  values[slot] = value
}

/** The leaf as a test of values. */
export function truthOf({ node, lists, missingNotEqual }: Leaf): (values: Values) => boolean {
  const matches = compileNode(node, missingNotEqual)
  return (values) => matches(values, lists)
}

/** The axis of a fixed number of classes, each with values of its own. */
export function listAxis(
  script: Script,
  name: string,
  fields: readonly string[],
  puts: readonly ((values: Values) => void)[],
): Axis {
  const put = (at: number, values: Values) => puts[at]?.(values)
  const variable = script.classes(name, puts.length)
  return { variable, fields: new Set(fields), put, ordinary: 0, holding: (leaf) => holdingOf(leaf, put, puts.length) }
}

function holdingOf(leaf: Leaf, put: Axis['put'], count: number): ClassRanges {
  const isTrue = truthOf(leaf)
  const values = emptyValues()
  const found: number[] = []
  for (let at = 0; at < count; at++) {
    put(at, values)
    if (isTrue(values)) found.push(at)
  }
  return rangesOfNumbers(found)
}

/** Numbers or addresses, as points of one line. */
export interface NumberAxis extends Axis {
  /** number of the class of a point that is a cut, or of the first cut behind it */
  readonly classAt: (point: bigint) => number
  readonly firstOf: (at: number) => bigint | undefined
}

interface NumberAxisOptions {
  readonly field: string
  readonly from: bigint
  readonly to: bigint
  readonly toValue: (point: bigint) => Value
  /** values to show, where they fit */
  readonly shown: readonly bigint[]
  /** class 0 has no value */
  readonly mayBeMissing?: boolean
}

/** The axis of a number or an address, cut at these points. */
export function numberAxis(script: Script, name: string, cuts: Set<bigint>, options: NumberAxisOptions): NumberAxis {
  const { field, from, to, toValue, shown, mayBeMissing = false } = options
  const starts = [...new Set([from, ...cuts])].filter((point) => point >= from && point <= to)
  starts.sort((a, b) => (a < b ? -1 : 1))
  const offset = mayBeMissing ? 1 : 0
  const count = starts.length + offset
  const samples = starts.map((start, at) => {
    const end = (starts[at + 1] ?? to + 1n) - 1n
    return toValue(shown.find((point) => point >= start && point <= end) ?? (start < end ? start + 1n : start))
  })
  const classAt = (point: bigint) => {
    let [low, high] = [0, starts.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((starts[middle] ?? to) < point) low = middle + 1
      else high = middle
    }
    return low + offset
  }
  const put = (at: number, values: Values) => putField(values, field, samples[at - offset])
  const [plain = from] = shown
  const ordinary = mayBeMissing ? 0 : starts.findLastIndex((start) => start <= plain)
  return {
    variable: script.classes(name, count),
    ordinary,
    fields: new Set([field]),
    put,
    classAt,
    firstOf: (at) => starts[at - offset],
    holding(leaf) {
      const { node } = leaf
      const domain = node.kind === 'comparison' && node.access.indexes.length === 0 ? domainOf(node.test) : undefined
      const isNotEqual = node.kind === 'comparison' && node.test.kind === 'order' && node.test.op === '!='
      if (domain?.kind !== 'ranges' || isNotEqual) return holdingOf(leaf, put, count)
      return domain.ranges.flatMap(([first, last]) => {
        const range = [classAt(first), classAt(last + 1n) - 1] as const
        return range[0] <= range[1] ? [range] : []
      })
    },
  }
}

/** Addresses to show, where they fit: the first for whatever is not spoken of. */
const SHOWN_ADDRESSES = ['192.0.2.200', '198.51.100.200', '203.0.113.200', '9.9.9.9', '2001:db8:ffff::1'].map((text) =>
  pointOf(ip(text)),
)

/** The axis of an address; no connection has the address 0.0.0.0 (RFC 1122 section 3.2.1.3). */
export function addressAxis(
  script: Script,
  name: string,
  cuts: Set<bigint>,
  { field, mayBeMissing = false }: Pick<NumberAxisOptions, 'field' | 'mayBeMissing'>,
): NumberAxis {
  const options = { field, from: 1n, to: GREATEST_IP, toValue: addressAt, shown: SHOWN_ADDRESSES, mayBeMissing }
  return numberAxis(script, name, cuts.add(IPV6_START), options)
}

const EVERY_PORT = Array.from({ length: 65_535 }, (_, at) => BigInt(at + 1))

/** The axis of a port, 1 to 65535. */
export function portAxis(script: Script, name: string, field: string, vocabulary: ProofVocabulary): NumberAxis {
  const shown = field === 'net.src.port' ? [50_000n] : [443n, 80n, 22n, 8443n, 50_000n]
  const cuts = vocabulary.cutsOf(field, [], EVERY_PORT)
  return numberAxis(script, name, cuts, { field, from: 1n, to: 65_535n, toValue: Number, shown })
}

const HOST_FIELDS = ['net.fqdn.host', 'net.fqdn.domains']

export interface HostAxis extends Axis {
  /** by class number; class 0 is a connection to an address */
  readonly hosts: readonly (string | undefined)[]
  readonly doubtful: ReadonlySet<number>
  /** classes of a domain and of everything below it */
  readonly below: (domain: string) => ClassRanges
  readonly at: (host: string) => number | undefined
}

/** The axis of the requested name, with its parent domains; undefined if the names cannot be cut. `names`: further
 *  names and domains to tell apart. */
export function hostAxis(
  script: Script,
  vocabulary: ProofVocabulary,
  names: Iterable<string>,
  withPatterns: boolean,
): HostAxis | undefined {
  const collector = new TextTestCollector()
  for (const name of names) collector.equal.add(name)
  const ofDomains: ((domain: string) => boolean)[] = []
  const known = new Set<string>()
  for (const field of HOST_FIELDS) for (const test of vocabulary.testsOf(field)) collector.add(test)
  for (const leaf of vocabulary.leaves) {
    if (!isAboutHosts(leaf) || leaf.node.kind !== 'quantifier' || isPlainMembership(leaf.node)) continue
    const key = keyOfLeaf(leaf, formatNode(leaf.node.item))
    if (!known.has(key)) ofDomains.push(ofOneDomain(leaf))
    known.add(key)
  }
  const { equal, folded, scans } = collector
  const tests = { equal, folded, preferred: ['www.example.com'] }
  const classes = withPatterns
    ? hostClasses({ ...tests, scans, ofDomains })
    : hostClasses({ ...tests, scans: [], ofDomains: [] })
  if (classes === undefined) return undefined
  const sorted = classes.texts.map((text) => [orderOf(text), text] as const).sort((a, b) => (a[0] < b[0] ? -1 : 1))
  return axisOfHosts(
    script,
    sorted.map(([, text]) => text),
    classes.doubtful,
  )
}

/** Names by their labels from the last, so that a domain and all below it are neighbours. */
function orderOf(host: string): string {
  return host.split('.').reverse().join('\0')
}

/** Whether a leaf about hosts can be told by cutting names: no single positions, no other arrays. */
export function isAboutHosts({ node, fields }: Leaf): boolean {
  if (![...fields].every((field) => HOST_FIELDS.includes(field))) return false
  return comparisonsOf(node).every(({ access }) => access.indexes.every(({ kind }) => kind === 'each'))
}

function ofOneDomain(leaf: Leaf): (domain: string) => boolean {
  const isTrue = truthOf(leaf)
  const values = emptyValues()
  return (domain) => {
    putField(values, 'net.fqdn.domains', [domain])
    return isTrue(values)
  }
}

function axisOfHosts(script: Script, names: readonly string[], doubtful: ReadonlySet<string>): HostAxis {
  const hosts = [undefined, ...names]
  const numbers = new Map(names.map((name, at) => [name, at + 1] as const))
  const domains = new Map<string, [number, number]>()
  for (const [name, at] of numbers) {
    for (const domain of withParents(name)) {
      const range = domains.get(domain)
      if (range === undefined) domains.set(domain, [at, at])
      else range[1] = at
    }
  }
  const put = (at: number, values: Values) => {
    const host = hosts[at]
    putField(values, 'net.fqdn.host', host)
    putField(values, 'net.fqdn.domains', host === undefined ? undefined : withParents(host))
  }
  return {
    variable: script.classes('host', hosts.length),
    fields: new Set(HOST_FIELDS),
    ordinary: 0,
    hosts,
    doubtful: new Set([...doubtful].flatMap((name) => numbers.get(name) ?? [])),
    put,
    below: (domain) => [domains.get(domain) ?? []].filter((range) => range.length === 2) as ClassRanges,
    at: (host) => numbers.get(host),
    holding(leaf) {
      const wanted = plainConstants(leaf)
      if (wanted === undefined) return holdingOf(leaf, put, hosts.length)
      const ofDomains = leaf.fields.has('net.fqdn.domains')
      const ranges = wanted.flatMap((text) => {
        const at = numbers.get(text)
        const range = ofDomains ? domains.get(text) : at === undefined ? undefined : ([at, at] as const)
        return range === undefined ? [] : [range]
      })
      return merged(ranges)
    },
  }
}

function merged(ranges: readonly (readonly [number, number])[]): ClassRanges {
  const found: [number, number][] = []
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const open = found.at(-1)
    if (open !== undefined && first <= open[1] + 1) open[1] = Math.max(open[1], last)
    else found.push([first, last])
  }
  return found
}

/** The constants of `host == "…"`, `any(domains[*] in {…})` and the like, which need no evaluation. */
function plainConstants({ node, fields }: Leaf): readonly string[] | undefined {
  const comparison = node.kind === 'quantifier' && node.op === 'any' ? node.item : node
  if (comparison.kind !== 'comparison' || fields.size !== 1) return undefined
  const { test } = comparison
  if (test.kind === 'order' && test.op === '==' && test.literal.type === 'Bytes') return [test.literal.value]
  if (test.kind !== 'in-set' || test.set.type !== 'Bytes') return undefined
  return test.set.members.map(({ value }) => value)
}

/** A field with one of these texts, or with none. */
export function textAxis(
  script: Script,
  name: string,
  field: string,
  texts: readonly string[],
  mayBeMissing = false,
): Axis {
  const all = mayBeMissing ? [undefined, ...texts] : texts.length === 0 ? [''] : texts
  return listAxis(
    script,
    name,
    [field],
    all.map((text) => (values: Values) => putField(values, field, text)),
  )
}

export interface PlaceAxis extends Axis {
  readonly placeAt: (at: number) => Place | undefined
  readonly rangeOf: (place: Place) => readonly [number, number]
}

const CONTINENTS = ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA']

/** Country and continent, which agree; a country nobody has heard of may be anywhere. Class 0: unknown. */
export function placeAxis(
  script: Script,
  side: 'src' | 'dst',
  vocabulary: ProofVocabulary,
  known: readonly Place[],
): PlaceAxis {
  const fields = [`net.${side}.geo.country`, `net.${side}.geo.continent`] as const
  const collector = new TextTestCollector()
  for (const test of vocabulary.testsOf(fields[0])) collector.add(test)
  const { equal, folded, scans } = collector
  const classes = textClasses({ equal, folded, scans })
  const codes = classes?.texts.filter((text) => text !== '' && !classes.doubtful.has(text)) ?? []
  const strange = codes.filter((code) => !COUNTRIES.has(code))
  const sea = { latitude: 0, longitude: 0 }
  const places: (Place | undefined)[] = [
    undefined,
    ...[...COUNTRIES].map(([country, facts]) => ({ country, ...facts })),
    ...CONTINENTS.map((continent) => ({ continent, ...sea })),
    ...strange.flatMap((country) => [
      { country, ...sea },
      ...CONTINENTS.map((continent) => ({ country, continent, ...sea })),
    ]),
  ]
  const [from] = [places.length]
  places.push(...known)
  const puts = places.map((place) => (values: Values) => {
    putField(values, fields[0], place?.country)
    putField(values, fields[1], place?.continent)
  })
  const axis = listAxis(script, `${side}_place`, fields, puts)
  return {
    ...axis,
    // patterns that cut too finely are told by no axis
    fields: classes === undefined ? new Set() : axis.fields,
    placeAt: (at) => places[at],
    rangeOf: (place) => {
      const at = from + known.indexOf(place)
      return [at, at]
    },
  }
}

/** Host names of proxy endpoints: those that exist, and those that rules name. */
export function endpointsOf(vocabulary: ProofVocabulary, { endpoints }: World): readonly string[] {
  const collector = new TextTestCollector()
  for (const test of vocabulary.testsOf('proxy.endpoint')) collector.add(test)
  return [...new Set([...endpoints, ...collector.equal, ...collector.folded])]
}

export const CATEGORY_FIELDS = ['net.fqdn.content_category', 'app.ids']

export interface CategoryKind {
  readonly has: Term
  readonly number: number
}

/** Where no table says which categories a destination has: any set of those that rules tell apart. */
export function openCategories(script: Script, vocabulary: ProofVocabulary, { categories }: World) {
  if (categories !== undefined) return new Map<string, readonly CategoryKind[]>()
  return new Map(
    CATEGORY_FIELDS.map((field) => {
      const cuts = [...vocabulary.cutsOf(field).add(1n)].filter((cut) => cut > 0n && cut < 2n ** 31n)
      const kinds = cuts.map((cut): CategoryKind => {
        return { has: script.boolean(`${field.replaceAll('.', '_')}_${cut}`), number: Number(cut) }
      })
      return [field, kinds] as const
    }),
  )
}
