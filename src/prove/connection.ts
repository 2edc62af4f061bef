// One connection as unknowns: its axes, what they have to do with each other, and the terms of expressions about it.
// Turns the classes a solver found back into a flow that can be decided. What cannot be told exactly is named.

import { pointOf } from '../analysis/condition.ts'
import { type Categories, createCategoryTable } from '../config/read-destinations.ts'
import { type Expression, formatNode, type Node } from '../expression/index.ts'
import type { Cidr } from '../net/cidr.ts'
import { fromIpv4Number, type Ip } from '../net/ip.ts'
import { type IpRange, rangeOfCidr } from '../net/ip-set.ts'
import type { KnownLists } from '../policy/account.ts'
import { GATEWAY_SCHEME } from '../policy/fields.ts'
import type { Flow } from '../policy/flow.ts'
import {
  type Axis,
  addressAxis,
  CATEGORY_FIELDS,
  type CategoryKind,
  emptyValues,
  endpointsOf,
  type HostAxis,
  hostAxis,
  isAboutHosts,
  type NumberAxis,
  openCategories,
  type PlaceAxis,
  placeAxis,
  portAxis,
  putField,
  textAxis,
  truthOf,
} from './axes.ts'
import { createDevices, createPeople, type DeviceTerms, type PersonTerms } from './people.ts'
import type { Model } from './solver.ts'
import { RESERVED_DOMAINS, type World, type WorldDevice, type WorldPerson } from './subject.ts'
import { and, type ClassVariable, not, or, rangesOfNumbers, type Script, type Term, within, xor } from './terms.ts'
import { comparisonsOf, isPlainMembership, keyOfLeaf, type Leaf, type ProofVocabulary } from './vocabulary.ts'

/** What routes speak of, to be told apart like what rules do. */
export interface Landmarks {
  /** host names behind tunnels; a leading `*.` stands for every subdomain */
  readonly names: readonly string[]
  readonly networks: readonly Cidr[]
}

/** What stands for an unknown: the text of a condition. */
export interface Approximation {
  readonly what: string
  readonly term: Term
}

/** Who and where a flow is, beside the flow itself. */
export interface Concrete {
  readonly flow: Flow
  readonly person: WorldPerson | undefined
  readonly device: WorldDevice | undefined
}

/** The unknowns of one connection, with the solver's script that declares and bounds them. */
export class Connection {
  readonly script: Script
  readonly people: PersonTerms
  readonly devices: DeviceTerms
  readonly destination: NumberAxis
  readonly host: HostAxis
  readonly approximations: Approximation[] = []
  readonly #world: World
  readonly #landmarks: Landmarks
  #tellsPatterns = true
  readonly #network: Axis
  readonly #transport: Axis
  readonly #axes: readonly Axis[]
  readonly #internal: NumberAxis
  readonly #placeOfSource: PlaceAxis
  readonly #placeOfDestination: PlaceAxis
  readonly #openCategories: ReadonlyMap<string, readonly CategoryKind[]>
  readonly #terms = new Map<string, Term>()

  constructor(script: Script, vocabulary: ProofVocabulary, world: World, landmarks: Landmarks) {
    this.script = script
    this.#world = world
    this.#landmarks = landmarks
    this.people = createPeople(script, vocabulary, world)
    this.devices = createDevices(script, vocabulary, world)
    this.destination = addressAxis(
      script,
      'dst',
      vocabulary.cutsOf('net.dst.ip', destinationRanges(world, landmarks)),
      {
        field: 'net.dst.ip',
      },
    )
    this.host = this.#hostAxis(vocabulary)
    const source = addressAxis(script, 'src', vocabulary.cutsOf('net.src.ip'), { field: 'net.src.ip' })
    const internals = world.devices.flatMap(({ device: { internalSourceIp: own } }) =>
      own === undefined ? [] : [{ first: own, last: own }],
    )
    const internal = { field: 'net.src.internal_src_ip', mayBeMissing: true }
    this.#internal = addressAxis(script, 'internal', vocabulary.cutsOf(internal.field, internals), internal)
    this.#network = textAxis(script, 'network', 'net.vnet_id', world.networks)
    this.#transport = textAxis(script, 'transport', 'net.protocol', ['tcp', 'udp'])
    this.#placeOfSource = placeAxis(script, 'src', vocabulary, [])
    this.#placeOfDestination = placeAxis(
      script,
      'dst',
      vocabulary,
      world.destinations.flatMap(({ place }) => place ?? []),
    )
    this.#axes = [
      this.destination,
      portAxis(script, 'dst_port', 'net.dst.port', vocabulary),
      source,
      portAxis(script, 'src_port', 'net.src.port', vocabulary),
      this.#internal,
      this.#transport,
      this.#network,
      textAxis(script, 'endpoint', 'proxy.endpoint', endpointsOf(vocabulary, world), true),
      this.#placeOfSource,
      this.#placeOfDestination,
      this.host,
    ]
    this.#openCategories = openCategories(script, vocabulary, world)
    this.#assertWorld()
  }

  /** A person of the configuration on their own device. */
  get isOwnDevice(): Term {
    const { people, devices } = this.#world
    const pairs = people.flatMap((person) => {
      const own = devices.find(({ device }) => device.id === person.defaultDevice)
      return own === undefined ? [] : [and([this.people.is(person), this.devices.is(own)])]
    })
    return this.script.name(or(pairs))
  }

  /** What a connection would be like if nothing else were said. */
  get ordinary(): readonly { readonly variable: ClassVariable; readonly at: number }[] {
    return this.#axes.flatMap(({ variable, ordinary: at }) => (at === undefined ? [] : [{ variable, at }]))
  }

  /** The destination is an IPv4 address. */
  get isIpv4(): Term {
    const last = this.destination.classAt(2n ** 32n) - 1
    return within(this.destination.variable, [[0, last]])
  }

  inNetwork(id: string): Term {
    const at = this.#world.networks.indexOf(id)
    return at < 0 ? 'false' : within(this.#network.variable, [[at, at]])
  }

  isTransport(transport: 'tcp' | 'udp'): Term {
    const at = transport === 'tcp' ? 0 : 1
    return within(this.#transport.variable, [[at, at]])
  }

  goesTo(network: Cidr): Term {
    const { first, last } = rangeOfCidr(network)
    const range = [this.destination.classAt(pointOf(first)), this.destination.classAt(pointOf(last) + 1n) - 1] as const
    return within(this.destination.variable, [range])
  }

  isHost(name: string): Term {
    const at = this.host.at(name)
    return at === undefined ? 'false' : within(this.host.variable, [[at, at]])
  }

  /** The name is this one, or below the domain after a leading `*.`. */
  isRouted(name: string): Term {
    if (!name.startsWith('*.')) return this.isHost(name)
    const domain = name.slice(2)
    return and([within(this.host.variable, this.host.below(domain)), not(this.isHost(domain))])
  }

  /** The expression as a term, with these lists. */
  termOf(expression: Expression, lists: KnownLists): Term {
    return this.#termOfNode(expression.root, lists, expression.scheme.missingNotEqual)
  }

  #termOfNode(node: Node, lists: KnownLists, missingNotEqual: boolean): Term {
    switch (node.kind) {
      case 'group':
        return this.#termOfNode(node.item, lists, missingNotEqual)
      case 'not':
        return not(this.#termOfNode(node.item, lists, missingNotEqual))
      case 'chain': {
        const items = node.items.map((item) => this.#termOfNode(item, lists, missingNotEqual))
        if (node.op === 'xor') return items.reduce(xor)
        return node.op === 'and' ? and(items) : or(items)
      }
      default: {
        const fields = new Set(comparisonsOf(node).map(({ access }) => access.field.name))
        return this.#termOfLeaf({ node, lists, fields, missingNotEqual })
      }
    }
  }

  #termOfLeaf(leaf: Leaf): Term {
    const key = keyOfLeaf(leaf)
    const known = this.#terms.get(key)
    if (known !== undefined) return known
    const made = this.script.name(this.#exactly(leaf) ?? this.#unknown(leaf))
    this.#terms.set(key, made)
    return made
  }

  #exactly(leaf: Leaf): Term | undefined {
    const { fields } = leaf
    const axis = this.#axes.find((one) => fields.isSubsetOf(one.fields))
    if (axis === this.host && !this.#tells(leaf)) return undefined
    if (axis !== undefined) return within(axis.variable, axis.holding(leaf))
    const [field = ''] = fields
    if (field.startsWith('identity.')) return this.people.termOf(leaf)
    if (field.startsWith('device_posture.')) return this.devices.termOf(leaf)
    return CATEGORY_FIELDS.includes(field) ? this.#categoryTerm(leaf, field) : undefined
  }

  #tells(leaf: Leaf): boolean {
    return isAboutHosts(leaf) && (this.#tellsPatterns || isPlainMembership(leaf.node) || isInequality(leaf.node))
  }

  #unknown({ node }: Leaf): Term {
    const term = this.script.boolean(`unknown_${this.approximations.length}`)
    this.approximations.push({ what: formatNode(node), term })
    return term
  }

  /** Categories come with the name, its parents and the address; all of them count together. */
  #categoryTerm(leaf: Leaf, field: string): Term | undefined {
    const { node, fields } = leaf
    if (node.kind !== 'quantifier' || fields.size > 1 || !isAboutMembers(node)) return undefined
    const isTrue = truthOf(leaf)
    const holds = (numbers: readonly number[]) => {
      const values = emptyValues()
      putField(values, field, numbers.length === 0 ? undefined : numbers)
      return isTrue(values)
    }
    const kinds = this.#openCategories.get(field)
    if (kinds !== undefined) {
      if (node.op === 'any') return or(kinds.filter(({ number }) => holds([number])).map(({ has }) => has))
      return and(kinds.filter(({ number }) => !holds([number])).map(({ has }) => not(has)))
    }
    const { byHost, byAddress } = this.#categories()
    const numbersOf = (some: Categories) => (field === 'app.ids' ? some.applications : some.contentCategories)
    const inClasses = (table: readonly Categories[]) =>
      rangesOfNumbers(table.flatMap((some, at) => (holds(numbersOf(some)) ? [at] : [])))
    const parts = [
      within(this.host.variable, inClasses(byHost)),
      within(this.destination.variable, inClasses(byAddress)),
    ]
    return node.op === 'any' ? or(parts) : and(parts)
  }

  #tables: { readonly byHost: readonly Categories[]; readonly byAddress: readonly Categories[] } | undefined

  #categories() {
    const { categories = [] } = this.#world
    const nowhere = fromIpv4Number(0)
    const ofHosts = createCategoryTable(categories.filter(({ network }) => network === undefined))
    const ofNetworks = createCategoryTable(categories.filter(({ network }) => network !== undefined))
    this.#tables ??= {
      byHost: this.host.hosts.map((name) => {
        return name === undefined ? NO_CATEGORIES : ofHosts({ kind: 'name', name, port: 1 }, nowhere)
      }),
      byAddress: Array.from({ length: this.destination.variable.count }, (_, at) => {
        const address = this.#addressOf(this.destination, at) ?? nowhere
        return ofNetworks({ kind: 'ip', ip: address, port: 1 }, address)
      }),
    }
    return this.#tables
  }

  #addressOf(axis: NumberAxis, at: number): Ip | undefined {
    const values = emptyValues()
    axis.put(at, values)
    return values.find((value) => value !== undefined) as Ip | undefined
  }

  #hostAxis(vocabulary: ProofVocabulary): HostAxis {
    const { destinations, categories = [], isClosed } = this.#world
    const known = [
      ...this.#landmarks.names.map((name) => name.replace(/^\*\./, '')),
      ...destinations.flatMap(({ name }) => name ?? []),
      ...categories.flatMap(({ host }) => host?.toLowerCase() ?? []),
      ...(isClosed ? RESERVED_DOMAINS : []),
    ]
    const axis = hostAxis(this.script, vocabulary, known, true)
    if (axis !== undefined) return axis
    this.#tellsPatterns = false
    const coarse = hostAxis(this.script, vocabulary, known, false)
    if (coarse === undefined) throw new RangeError('too many host names to tell apart')
    return coarse
  }

  #assertWorld(): void {
    const { script, people, devices } = this
    const world = this.#world
    for (const { name, addresses, place } of world.destinations) {
      const there = addresses.map((address) => this.#isAddress(address))
      if (name !== undefined) script.assert(or([not(this.isHost(name)), ...there]))
      if (place === undefined) continue
      const at = within(this.#placeOfDestination.variable, [this.#placeOfDestination.rangeOf(place)])
      for (const one of there) script.assert(or([not(one), at]))
    }
    if (world.isClosed) for (const domain of RESERVED_DOMAINS) script.assert(this.#existsBelow(domain))
    for (const one of world.devices) {
      const owner = world.people.find(({ identity }) => identity.email === one.user)
      if (one.user !== undefined)
        script.assert(or([not(devices.is(one)), owner === undefined ? 'false' : people.is(owner)]))
      const { internalSourceIp: address } = one.device
      const at = address === undefined ? 0 : this.#internal.classAt(pointOf(address))
      script.assert(or([not(devices.is(one)), within(this.#internal.variable, [[at, at]])]))
    }
    script.assert(or([not(devices.isNone), within(this.#internal.variable, [[0, 0]])]))
    script.assert(or([not(devices.isAny), people.isAnybody, people.isNobody]))
    if (world.isClosed) {
      for (const one of world.people) {
        if (one.defaultDevice !== undefined) script.assert(not(and([people.is(one), devices.isNone])))
      }
    }
  }

  #isAddress(address: Ip): Term {
    const at = this.destination.classAt(pointOf(address))
    return within(this.destination.variable, [[at, at]])
  }

  #existsBelow(domain: string): Term {
    const { destinations } = this.#world
    const named = destinations.flatMap(({ name }) => (name === undefined ? [] : [this.isHost(name)]))
    const routed = this.#landmarks.names.map((name) => this.isRouted(name))
    return or([not(within(this.host.variable, this.host.below(domain))), ...named, ...routed])
  }

  /** The connection a solver found; where its user is is left to the caller. */
  flowIn(model: Model): Concrete {
    const values = emptyValues()
    for (const axis of this.#axes) axis.put(model.numberOf(axis.variable), values)
    const field = (name: string) => values[GATEWAY_SCHEME.fields.get(name)?.slot ?? -1]
    const host = this.host.hosts[model.numberOf(this.host.variable)]
    const destination = { ip: field('net.dst.ip') as Ip, port: Number(field('net.dst.port')) }
    const source = { ip: field('net.src.ip') as Ip, port: Number(field('net.src.port')) }
    const flow: Flow = {
      transport: field('net.protocol') === 'udp' ? 'udp' : 'tcp',
      source,
      internalSource: field('net.src.internal_src_ip') as Ip | undefined,
      identity: this.people.identityIn(model),
      device: this.devices.deviceIn(model),
      sourcePlace: this.#placeOfSource.placeAt(model.numberOf(this.#placeOfSource.variable)),
      destinationPlace: this.#placeOfDestination.placeAt(model.numberOf(this.#placeOfDestination.variable)),
      virtualNetworkId: String(field('net.vnet_id') ?? ''),
      host,
      destination,
      proxiedByCloudflare: false,
      ...this.#categoriesIn(model, host, destination.ip),
      proxyEndpoint: field('proxy.endpoint') as string | undefined,
    }
    return { flow, person: this.people.personIn(model), device: this.devices.knownIn(model) }
  }

  #categoriesIn(model: Model, host: string | undefined, address: Ip): Categories {
    const { categories } = this.#world
    if (categories !== undefined) {
      const target = host === undefined ? { kind: 'ip' as const, ip: address } : { kind: 'name' as const, name: host }
      return createCategoryTable(categories)({ ...target, port: 1 }, address)
    }
    const [contentCategories = [], applications = []] = CATEGORY_FIELDS.map((field) => {
      return (this.#openCategories.get(field) ?? []).filter(({ has }) => model.holds(has)).map(({ number }) => number)
    })
    return { contentCategories, applications }
  }

  /** What a model may be wrong about. */
  doubtsIn(model: Model): readonly string[] {
    const isDoubtful = this.host.doubtful.has(model.numberOf(this.host.variable))
    const doubts = this.approximations.map(({ what }) => what)
    return isDoubtful ? [...doubts, 'host names that may not be names at all'] : doubts
  }
}

const NO_CATEGORIES: Categories = { contentCategories: [], applications: [] }

/** No single positions, and no single bits of numbers. */
function isAboutMembers(node: Node): boolean {
  return comparisonsOf(node).every(({ access, test }) => {
    return test.kind !== 'bits' && access.indexes.every(({ kind }) => kind === 'each')
  })
}

function isInequality(node: Node): boolean {
  return node.kind === 'comparison' && node.test.kind === 'order' && node.test.op === '!='
}

/** Everything a destination is told apart by beside rules. */
function destinationRanges(world: World, { networks }: Landmarks): readonly IpRange[] {
  const own = world.categories?.flatMap(({ network }) => network ?? []) ?? []
  return [
    ...[...networks, ...own].map(rangeOfCidr),
    ...world.destinations.flatMap(({ addresses }) => addresses.map((address) => ({ first: address, last: address }))),
  ]
}
