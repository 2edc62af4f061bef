// Connections for a synthetic world: most are made to satisfy some rule, the rest are noise.

import { parseCidr } from '../net/cidr.ts'
import { fromIpv4Number, type Ip, ip, parseIp } from '../net/ip.ts'
import type { Flow, Identity } from '../policy/flow.ts'
import { createRandom, type Random } from './random.ts'
import type { SyntheticCondition, SyntheticList, SyntheticPerson, SyntheticWorld } from './synthetic-world.ts'

/** Share of connections that are built around a rule; an earlier rule may take them all the same. */
const AIMED_SHARE = 0.7

/** Who goes where. `zipf`, as real traffic is: people, destinations and the rules aimed at are chosen by Zipf's law with exponent
 *  1, so that a few make up most of the connections; noise stays uniform. `uniform`, the worst case for every cache: all of them
 *  equally often. */
export type SyntheticTraffic = 'zipf' | 'uniform'

/** What a connection says of itself, as far as synthetic conditions ask. */
interface Sketch {
  person: SyntheticPerson
  vnet: string
  host: string
  destination: Ip
  country: string
  port: number
}

/** What connections are made of, each kind from its most popular item down. */
interface Scenery {
  readonly random: Random
  /** chooses by popularity; uniformly where traffic is uniform */
  readonly choose: <T>(items: readonly T[]) => T
  readonly world: SyntheticWorld
  readonly directory: Directory
}

/** `count` connections; the same world, count, seed and traffic give the same ones. */
export function createSyntheticFlows(
  world: SyntheticWorld,
  count: number,
  { seed = 2, traffic = 'zipf' }: { readonly seed?: number; readonly traffic?: SyntheticTraffic } = {},
): Flow[] {
  const random = createRandom(seed)
  const scenery = createScenery(world, random, traffic)
  const identities = new Map<string, Identity>()
  const source = { ip: ip('192.0.2.1'), port: 50_000 }
  const places = new Map(world.countries.map((country) => [country, { country, latitude: 0, longitude: 0 }]))
  return Array.from({ length: count }, (): Flow => {
    const sketch = sketchConnection(scenery)
    const identity = identities.get(sketch.person.email) ?? identityOf(sketch.person)
    identities.set(sketch.person.email, identity)
    const destinationPlace = places.get(sketch.country)
    return {
      transport: 'tcp',
      source,
      identity,
      virtualNetworkId: sketch.vnet,
      host: sketch.host,
      destination: { ip: sketch.destination, port: sketch.port },
      ...(destinationPlace === undefined ? {} : { destinationPlace }),
      userPlace: PLACE,
      proxiedByCloudflare: false,
      contentCategories: [],
      applications: [],
    }
  })
}

function createScenery(world: SyntheticWorld, random: Random, traffic: SyntheticTraffic): Scenery {
  // popularity has nothing to do with the order of rules or names
  const people = random.shuffle(world.people)
  const shuffled = {
    ...world,
    people,
    rules: random.shuffle(world.rules),
    domains: random.shuffle(world.domains),
    vnets: random.shuffle(world.vnets),
  }
  const choose = traffic === 'zipf' ? random.pickZipf : random.pick
  return { random, choose, world: shuffled, directory: createDirectory(shuffled) }
}

function sketchConnection(scenery: Scenery): Sketch {
  const { random, choose, world } = scenery
  if (!random.chance(AIMED_SHARE)) return sketch(scenery, random.pick)
  const aimed = sketch(scenery, choose)
  for (const condition of choose(world.rules).conditions) aim(scenery, aimed, condition)
  return aimed
}

const PLACE = Object.freeze({ city: 'Amsterdam', country: 'NL', latitude: 52.31, longitude: 4.76 })

function sketch({ random, world }: Scenery, choose: Scenery['choose']): Sketch {
  return {
    person: choose(world.people),
    vnet: choose(world.vnets),
    host: `www${random.below(9)}.${choose(world.domains)}`,
    destination: fromIpv4Number(0x0a000000 + random.below(1 << 24)),
    country: random.pick(world.countries),
    port: random.pick([80, 443, 443, 443, 22, 8080, 8443, 51820]),
  }
}

/** Changes the sketch so that this condition holds. */
function aim({ random, choose, directory }: Scenery, sketch: Sketch, condition: SyntheticCondition): void {
  if (condition.negated) return
  switch (condition.kind) {
    case 'group':
      sketch.person = choose(directory.members.get(random.pick(condition.names)) ?? [sketch.person])
      return
    case 'email':
      sketch.person = directory.person.get(random.pick(condition.emails)) ?? sketch.person
      return
    case 'vnet':
      sketch.vnet = condition.id
      return
    case 'prefix':
      sketch.destination = parseCidr(random.pick(condition.prefixes))?.base ?? sketch.destination
      return
    case 'domain':
      sketch.host = `api.${random.pick(condition.domains)}`
      return
    case 'country':
      sketch.country = random.pick(condition.countries)
      return
    case 'port':
      sketch.port = random.pick(condition.ranges)[0]
      return
    case 'list':
      aimAtList(choose, directory.list.get(condition.id), sketch)
      return
    case 'regex':
      sketch.host = `api${random.below(9)}.${/site-\d+/.exec(condition.pattern)?.[0] ?? 'site-0'}.test`
  }
}

function aimAtList(choose: Scenery['choose'], list: SyntheticList | undefined, sketch: Sketch): void {
  if (list === undefined) return
  const item = choose(list.items)
  if (list.of === 'email') sketch.person = { email: item, groups: sketch.person.groups }
  else if (list.of === 'domain') sketch.host = item
  else sketch.destination = parseIp(item) ?? sketch.destination
}

interface Directory {
  readonly person: ReadonlyMap<string, SyntheticPerson>
  /** everybody in each group that has anybody */
  readonly members: ReadonlyMap<string, readonly SyntheticPerson[]>
  readonly list: ReadonlyMap<string, SyntheticList>
}

function createDirectory({ people, lists }: SyntheticWorld): Directory {
  const members = new Map<string, SyntheticPerson[]>()
  for (const person of people) {
    for (const group of person.groups) members.set(group, [...(members.get(group) ?? []), person])
  }
  return {
    members,
    person: new Map(people.map((person) => [person.email, person])),
    list: new Map(lists.map((list) => [list.id, list])),
  }
}

function identityOf(person: SyntheticPerson): Identity {
  const groups = person.groups.map((name) => ({ id: name, name, email: '' }))
  return {
    id: person.email,
    email: person.email,
    name: person.email,
    groups,
    samlAttributes: new Map(),
    oidcClaims: new Map(),
  }
}

/** A new flow with the same facts. People, places and virtual networks stay the same objects, as they do in a proxy. */
export function freshFlow(flow: Flow): Flow {
  const { host, destination } = flow
  const endpoint = { ip: { ...destination.ip, words: [...destination.ip.words] }, port: destination.port }
  // a text of its own, without the hash the other one may have
  const name = host === undefined ? {} : { host: Buffer.from(host, 'latin1').toString('latin1') }
  return { ...flow, ...name, destination: endpoint }
}

/** Reads every fact that belongs to one connection alone. People, rules and lists stay untouched, in the cache or not as the traffic
 *  has it. Answers a number only so that nothing can be optimised away. */
export function touchFlow(flow: Flow): number {
  const { source, destination, host = '', virtualNetworkId, destinationPlace, transport } = flow
  return (
    source.port +
    destination.port +
    (source.ip.words[0] ?? 0) +
    (destination.ip.words[0] ?? 0) +
    host.charCodeAt(host.length - 1) +
    virtualNetworkId.charCodeAt(0) +
    (destinationPlace?.latitude ?? 0) +
    transport.length
  )
}
