// Connections for a synthetic world: most are made to satisfy some rule, the rest are noise.

import { parseCidr } from '../net/cidr.ts'
import { fromIpv4Number, type Ip, ip, parseIp } from '../net/ip.ts'
import type { Flow, Identity } from '../policy/flow.ts'
import type { Condition } from './condition.ts'
import type { Random } from './random.ts'
import { createRandom } from './random.ts'
import type { SyntheticList, SyntheticPerson, SyntheticWorld } from './synthetic-world.ts'

/** Share of connections that are built around a rule; an earlier rule may take them all the same. */
const AIMED_SHARE = 0.7

/** What a connection says of itself, as far as synthetic conditions ask. */
interface Sketch {
  person: SyntheticPerson
  vnet: string
  host: string
  destination: Ip
  country: string
  port: number
}

/** `count` connections; the same world, count and seed give the same ones. */
export function createSyntheticFlows(world: SyntheticWorld, count: number, seed = 2): Flow[] {
  const random = createRandom(seed)
  const identities = new Map<SyntheticPerson, Identity>()
  const directory = createDirectory(world)
  const source = { ip: ip('192.0.2.1'), port: 50_000 }
  return Array.from({ length: count }, (): Flow => {
    const sketch = noise(random, world)
    if (random.chance(AIMED_SHARE)) {
      for (const condition of random.pick(world.rules).conditions) aim(random, directory, sketch, condition)
    }
    const identity = identities.get(sketch.person) ?? identityOf(sketch.person)
    identities.set(sketch.person, identity)
    return {
      transport: 'tcp',
      source,
      identity,
      virtualNetworkId: sketch.vnet,
      host: sketch.host,
      destination: { ip: sketch.destination, port: sketch.port },
      destinationPlace: { country: sketch.country, latitude: 0, longitude: 0 },
      userPlace: PLACE,
      proxiedByCloudflare: false,
      contentCategories: [],
      applications: [],
    }
  })
}

const PLACE = Object.freeze({ city: 'Amsterdam', country: 'NL', latitude: 52.31, longitude: 4.76 })

function noise(random: Random, world: SyntheticWorld): Sketch {
  return {
    person: random.pick(world.people),
    vnet: random.pick(world.vnets),
    host: `www${random.below(9)}.${random.pick(world.domains)}`,
    destination: fromIpv4Number(0x0a000000 + random.below(1 << 24)),
    country: random.pick(world.countries),
    port: random.pick([80, 443, 443, 443, 22, 8080, 8443, 51820]),
  }
}

/** Changes the sketch so that this condition holds. */
function aim(random: Random, directory: Directory, sketch: Sketch, condition: Condition): void {
  if (condition.negated) return
  switch (condition.kind) {
    case 'group':
      sketch.person = directory.member.get(random.pick(condition.names)) ?? sketch.person
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
      aimAtList(random, directory.list.get(condition.id), sketch)
      return
    case 'regex':
      sketch.host = `api${random.below(9)}.${/site-\d+/.exec(condition.pattern)?.[0] ?? 'site-0'}.test`
  }
}

function aimAtList(random: Random, list: SyntheticList | undefined, sketch: Sketch): void {
  if (list === undefined) return
  const item = random.pick(list.items)
  if (list.of === 'email') sketch.person = { email: item, groups: sketch.person.groups }
  else if (list.of === 'domain') sketch.host = item
  else sketch.destination = parseIp(item) ?? sketch.destination
}

interface Directory {
  readonly person: ReadonlyMap<string, SyntheticPerson>
  /** somebody in each group */
  readonly member: ReadonlyMap<string, SyntheticPerson>
  readonly list: ReadonlyMap<string, SyntheticList>
}

function createDirectory({ people, lists }: SyntheticWorld): Directory {
  return {
    person: new Map(people.map((person) => [person.email, person])),
    member: new Map(people.flatMap((person) => person.groups.map((group) => [group, person] as const))),
    list: new Map(lists.map((list) => [list.id, list])),
  }
}

function identityOf(person: SyntheticPerson): Identity {
  const groups = person.groups.map((name) => ({ id: name, name, email: '' }))
  return { id: person.email, email: person.email, name: person.email, groups, samlAttributes: new Map() }
}
