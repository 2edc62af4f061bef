// What questions are about: a configuration with its policy and its invariants, and the world of people, devices, names
// and networks that connections are made of. Reads files; asks nothing.

import { dirname, isAbsolute, join } from 'node:path'
import { checkShape } from '../config/check-shape.ts'
import type { Category, LabConfig } from '../config/lab-config.ts'
import type { LoadConfigOptions } from '../config/load.ts'
import { createProblems } from '../config/problems.ts'
import {
  type ConfiguredInvariant,
  INVARIANT_LIST,
  type RawInvariant,
  readInvariants,
} from '../config/read-invariants.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { readConfig, unexpectedNotice } from '../decider/read-config.ts'
import { InputError } from '../errors/issue.ts'
import type { Ip } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import type { Device, Identity, UserGroup } from '../policy/flow.ts'
import type { Place } from '../policy/place.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import { createStore } from '../store/store.ts'

export interface Subject {
  readonly file: string
  readonly config: LabConfig
  readonly snapshot: Snapshot
  readonly world: World
}

/** Reads a configuration with its rules, or with those of another file. Throws an InputError with every problem. */
export function readSubject(file: string, options: Pick<LoadConfigOptions, 'rulesFile'> = {}): Subject {
  const { config } = readConfig(file, options)
  const store = createStore(config, { onNotice: unexpectedNotice })
  const snapshot = store.current()
  store.close()
  return { file, config, snapshot, world: worldOf(config, snapshot.account) }
}

/** A policy alone: a configuration, or a list of rules for the account of one. Throws an InputError. */
export function readPolicySubject(file: string, configFile: string): Subject {
  const { data } = readSourceDocument(file)
  return Array.isArray(data) ? readSubject(configFile, { rulesFile: file }) : readSubject(file)
}

/** A configuration and the invariants to be proven of it. */
export interface Invariants {
  readonly subject: Subject
  readonly invariants: readonly ConfiguredInvariant[]
}

/** The invariants of files: configurations, or policy tests that name theirs; invariants of one configuration come
 *  together. Throws an InputError with every problem, also for files without invariants. */
export function readInvariantFiles(files: readonly string[]): readonly Invariants[] {
  const subjects = new Map<string, Subject>()
  const open = (file: string) => {
    const known = subjects.get(file) ?? readSubject(file)
    subjects.set(file, known)
    return known
  }
  const read = files.map((file) => {
    const tests = readTests(file)
    if (tests !== undefined) return { subject: open(tests.config), invariants: tests.invariants }
    const subject = open(file)
    return { subject, invariants: subject.config.invariants ?? [] }
  })
  const empty = files.filter((_, at) => read[at]?.invariants.length === 0)
  if (empty.length > 0) throw new InputError(empty.map(noInvariants))
  return [...Map.groupBy(read, ({ subject }) => subject)].map(([subject, some]) => {
    return { subject, invariants: some.flatMap(({ invariants }) => invariants) }
  })
}

/** Undefined for a file that is no table of policy tests: `cases`, or nothing of a configuration but its name. */
function readTests(file: string): { config: string; invariants: readonly ConfiguredInvariant[] } | undefined {
  const document = readSourceDocument(file)
  if (document.issues.length > 0) throw new InputError(document.issues)
  const written: unknown = Object(document.data).config
  if (typeof written !== 'string') return undefined
  const problems = createProblems(document)
  // `test` checks the rest of the file
  const raw: readonly RawInvariant[] = Object(document.data).invariants ?? []
  checkShape(
    INVARIANT_LIST,
    raw,
    problems.at((path) => ['invariants', ...path]),
  )
  if (problems.issues.length > 0) throw new InputError(problems.issues)
  const invariants = readInvariants(raw, ['invariants'], file, problems)
  if (problems.issues.length > 0) throw new InputError(problems.issues)
  return { config: isAbsolute(written) ? written : join(dirname(file), written), invariants }
}

function noInvariants(file: string) {
  const hint = 'write some under `invariants` (docs/proofs.md), or ask `--allowlists` or `--same A B`'
  return {
    severity: 'error',
    code: 'prove.no_invariants',
    message: `\`${file}\` has no invariants`,
    hint,
    file,
  } as const
}

export interface WorldPerson {
  readonly identity: Identity
  readonly place?: Place
  /** id of the device assumed where a connection names none */
  readonly defaultDevice?: string
}

export interface WorldDevice {
  readonly device: Device
  /** email of the only person who can use it */
  readonly user?: string
  readonly place?: Place
}

export interface World {
  readonly people: readonly WorldPerson[]
  readonly groups: readonly UserGroup[]
  readonly devices: readonly WorldDevice[]
  /** ids of virtual networks */
  readonly networks: readonly string[]
  /** host names of proxy endpoints */
  readonly endpoints: readonly string[]
  /** a name has these addresses and no others; without a name, an address whose place is known */
  readonly destinations: readonly WorldDestination[]
  /** categories and applications of destinations; undefined: any that rules speak of */
  readonly categories?: readonly Category[]
  /** names under top-level domains that no public server has exist only as destinations */
  readonly isClosed: boolean
}

export interface WorldDestination {
  readonly name?: string
  readonly addresses: readonly Ip[]
  readonly place?: Place
}

/** RFC 6761 and RFC 7686: names that are never sent to DNS. */
export const RESERVED_DOMAINS = ['test', 'invalid', 'example', 'onion']

/** Everything a configuration knows of. */
export function worldOf(config: LabConfig, account: Account): World {
  const { users, groups, devices, listeners, destinations, categories } = config
  const used = users.flatMap(({ identity }) => identity.groups)
  const known = new Map([...groups, ...used].map((group) => [group.id, group] as const))
  return {
    people: users,
    groups: [...known.values()],
    devices,
    networks: account.virtualNetworks.map(({ id }) => id),
    endpoints: listeners.flatMap(({ endpoint }) => endpoint?.host ?? []),
    destinations: destinations.map(({ name, addresses, place }) => ({
      addresses: addresses.map((address) => address.public),
      ...(name === undefined ? {} : { name: name.toLowerCase() }),
      ...(place === undefined ? {} : { place }),
    })),
    categories,
    isClosed: true,
  }
}

/** Policies alone: any name, address, category and device; people as configured, or anybody. */
export function openWorld(worlds: readonly World[]): World {
  const unique = <T>(items: readonly T[], key: (item: T) => string) => [
    ...new Map(items.map((item) => [key(item), item] as const)).values(),
  ]
  return {
    people: unique(
      worlds.flatMap(({ people }) => people),
      ({ identity }) =>
        JSON.stringify([identity.email, identity.groups, [...identity.samlAttributes], [...identity.oidcClaims]]),
    ),
    groups: unique(
      worlds.flatMap(({ groups }) => groups),
      ({ id, name, email }) => `${id} ${name} ${email}`,
    ),
    devices: unique(
      worlds.flatMap(({ devices }) => devices),
      ({ device }) => JSON.stringify([device.id, device.posture]),
    ),
    networks: [...new Set(worlds.flatMap(({ networks }) => networks))],
    endpoints: [...new Set(worlds.flatMap(({ endpoints }) => endpoints))],
    destinations: [],
    isClosed: false,
  }
}
