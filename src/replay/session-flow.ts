// A recorded session as the flow it was decided on, in the configuration at hand: people, devices and virtual networks are
// looked up there, the rest is the record's word. Builds flows with the very code of the proxy.

import type { Undecided } from '../analysis/replay-summary.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { formatTarget } from '../net/endpoint.ts'
import { type Ip, ip, parseIp } from '../net/ip.ts'
import type { Device, Flow, Identity } from '../policy/flow.ts'
import { COLOS, countryFacts, type Place } from '../policy/place.ts'
import type { Arrival, ClientInfo } from '../proxy/arrival.ts'
import type { Ports } from '../proxy/pipeline-ports.ts'
import type { Candidate, ClientContext } from '../proxy/stage-values.ts'
import { flowsOf } from '../proxy/stages.ts'
import type { RecordedSession } from './recorded-session.ts'
import { detached } from './session-reader.ts'

export interface FlowPorts extends Pick<Ports, 'placeOf' | 'categoriesOf'> {
  /** what the configuration and the geo database say of a destination */
  readonly candidateOf: (address: Ip, port: number) => Candidate
}

/** Who a session belongs to. The same value for all sessions that agree in it, as far as memory is kept. */
export interface RecordedClient {
  /** mail address, for counting */
  readonly name: string
  readonly client: Omit<ClientContext, 'source'>
  readonly sourceIp: Ip
  readonly sourcePlace: Place | undefined
  /** as recorded */
  readonly latitude: number | undefined
  readonly longitude: number | undefined
  /** the record's name of somebody or a network that the configuration does not have */
  readonly unknownUser?: string
  readonly unknownNetwork?: string
}

/** Where a session went, remembered likewise. */
export interface RecordedDestination {
  /** `host:port`, for counting */
  readonly name: string
  readonly arrival: Omit<Arrival, 'transport'>
  readonly candidate: Candidate
  readonly categories: ReturnType<FlowPorts['categoriesOf']>
}

export interface RecordedFlow {
  readonly flow: Flow
  readonly who: RecordedClient
  readonly where: RecordedDestination
}

export type RecordedFlowReader = (session: RecordedSession) => RecordedFlow | Undecided

/** People and destinations come again and again; so many of each are remembered. */
const MOST_REMEMBERED = 50_000

/** A reader for one configuration. */
export function createRecordedFlowReader(
  config: Pick<LabConfig, 'users' | 'devices' | 'virtualNetworks' | 'listeners'>,
  ports: FlowPorts,
): RecordedFlowReader {
  const lookUpWho = createWhoReader(config, ports)
  const lookUpWhere = createWhereReader(config, ports)
  const people = new Map<string, RecordedClient | undefined>()
  const destinations = new Map<string, RecordedDestination | undefined>()

  return (session) => {
    const why = whyUndecided(session)
    if (why !== undefined) return why
    const who = rememberedWho(people, session, lookUpWho)
    const where = rememberedWhere(destinations, session, lookUpWhere)
    if (who === undefined || where === undefined) return 'bad_address'
    const transport = session.transport === 'udp' ? 'udp' : 'tcp'
    const known = { placeOf: () => who.sourcePlace, categoriesOf: () => where.categories }
    const context = { ...who.client, source: { ip: who.sourceIp, port: session.sourcePort ?? 0 } }
    const client: ClientInfo = { ...where.arrival, transport }
    const destination = { effectiveTarget: where.arrival.target, candidates: [where.candidate] }
    const [pair] = flowsOf(known, { client, context, ...destination })
    return pair === undefined ? 'bad_address' : { flow: pair.flow, who, where }
  }
}

/** What no decision can do without, and the record does not have. */
function whyUndecided({ transport, originIp, originPort, sourceIp }: RecordedSession): Undecided | undefined {
  if (transport === 'unknown') return 'no_protocol'
  if (transport !== 'tcp' && transport !== 'udp') return 'other_protocol'
  if (originIp === '') return 'no_destination'
  if (originPort === undefined) return 'no_port'
  return sourceIp === '' ? 'no_source' : undefined
}

/** The person of a session. A place is compared as numbers: to write it into the key would cost as much as to decide. */
function rememberedWho(
  memory: Map<string, RecordedClient | undefined>,
  session: RecordedSession,
  lookUp: (session: RecordedSession) => RecordedClient | undefined,
): RecordedClient | undefined {
  const key = whoKey(session)
  const known = memory.get(key)
  if (known !== undefined && known.latitude === session.latitude && known.longitude === session.longitude) return known
  return remember(memory, key, lookUp(detachedSession(session, TEXTS_OF_WHO)))
}

function rememberedWhere(
  memory: Map<string, RecordedDestination | undefined>,
  session: RecordedSession,
  lookUp: (session: RecordedSession) => RecordedDestination | undefined,
): RecordedDestination | undefined {
  const key = whereKey(session)
  const known = memory.get(key)
  if (known !== undefined || memory.has(key)) return known
  return remember(memory, key, lookUp(detachedSession(session, TEXTS_OF_WHERE)))
}

function remember<T>(memory: Map<string, T>, key: string, found: T): T {
  if (memory.size >= MOST_REMEMBERED) memory.clear()
  memory.set(key, found)
  return found
}

type TextField = {
  [Field in keyof RecordedSession]: RecordedSession[Field] extends string
    ? string extends RecordedSession[Field]
      ? Field
      : never
    : never
}[keyof RecordedSession]

/** What is kept of a session that is looked up. */
const TEXTS_OF_WHO = [
  'email',
  'userId',
  'deviceId',
  'deviceName',
  'virtualNetworkId',
  'virtualNetworkName',
  'sourceIp',
  'internalSourceIp',
  'ingressColo',
  'placeCity',
  'placeCountry',
  'sourceCountry',
  'sourceContinent',
] as const satisfies readonly TextField[]
const TEXTS_OF_WHERE = [
  'originIp',
  'host',
  'proxyEndpoint',
  'applications',
  'contentCategories',
  'originCountry',
  'originContinent',
] as const satisfies readonly TextField[]

/** What is remembered must not keep a whole piece of the recording in memory. */
function detachedSession(session: RecordedSession, texts: readonly TextField[]): RecordedSession {
  const copy: { -readonly [Field in keyof RecordedSession]: RecordedSession[Field] } = { ...session }
  for (const field of texts) if (copy[field] !== '') copy[field] = detached(copy[field])
  return copy
}

function whoKey(session: RecordedSession): string {
  const { email, userId, deviceId, deviceName, virtualNetworkId, virtualNetworkName } = session
  const { sourceIp, internalSourceIp, ingressColo, sourceCountry } = session
  const person = email === '' ? userId : email
  return `${person}\n${deviceId}\n${deviceName}\n${virtualNetworkId}\n${virtualNetworkName}\n${sourceIp}\n${internalSourceIp}\n${ingressColo}\n${sourceCountry}`
}

function whereKey(session: RecordedSession): string {
  const { originIp, originPort, host, proxyEndpoint, applications, contentCategories, originCountry } = session
  const key = `${originIp}\n${originPort}\n${host}\n${proxyEndpoint}`
  // only Gateway's own logs have these
  if (applications === '' && contentCategories === '' && originCountry === '') return key
  return `${key}\n${applications}\n${contentCategories}\n${originCountry}`
}

function createWhoReader(
  config: Pick<LabConfig, 'users' | 'devices' | 'virtualNetworks'>,
  ports: FlowPorts,
): (session: RecordedSession) => RecordedClient | undefined {
  const users = new Map(config.users.map(({ identity }) => [identity.email, identity]))
  const usersById = new Map(config.users.map(({ identity }) => [identity.id.toLowerCase(), identity]))
  const devices = new Map(
    config.devices.flatMap(({ device }) => [[device.name, device] as const, [device.id, device] as const]),
  )
  const networks = new Map(
    config.virtualNetworks.flatMap(({ id, name }) => [[name.toLowerCase(), id] as const, [id, id] as const]),
  )
  const defaultNetwork = config.virtualNetworks.find(({ isDefault }) => isDefault)?.id ?? ''
  const places = new Map<string, Place>()

  return (session) => {
    const sourceIp = parseIp(session.sourceIp)
    if (sourceIp === undefined) return undefined
    const known = session.email === '' ? usersById.get(session.userId.toLowerCase()) : users.get(session.email)
    const name = known?.email ?? (session.email || session.userId)
    const recordedNetwork = session.virtualNetworkId.toLowerCase()
    const network = networks.get(recordedNetwork) ?? networks.get(session.virtualNetworkName.toLowerCase())
    const sourcePlace = placedIn(ports.placeOf(sourceIp), session.sourceCountry, session.sourceContinent)
    const userPlace = placeOf(session, places) ?? sourcePlace
    return {
      name: name || '(nobody)',
      client: {
        ...identityOf(session, known),
        ...deviceOf(session, devices),
        ...internalOf(session),
        ...(userPlace === undefined ? {} : { userPlace }),
        virtualNetworkId: network ?? (recordedNetwork === '' ? defaultNetwork : recordedNetwork),
      },
      sourceIp,
      sourcePlace,
      latitude: session.latitude,
      longitude: session.longitude,
      ...(name === '' || known !== undefined ? {} : { unknownUser: name }),
      ...(recordedNetwork === '' || network !== undefined ? {} : { unknownNetwork: recordedNetwork }),
    }
  }
}

function createWhereReader(
  { listeners: [listener] }: Pick<LabConfig, 'listeners'>,
  ports: FlowPorts,
): (session: RecordedSession) => RecordedDestination | undefined {
  return (session) => {
    const { originIp, originPort: port = 0, host, proxyEndpoint } = session
    const address = parseIp(originIp)
    if (address === undefined || listener === undefined) return undefined
    const name = host.toLowerCase().replace(/\.$/, '')
    const target = name === '' ? ({ kind: 'ip', ip: address, port } as const) : ({ kind: 'name', name, port } as const)
    const entered = proxyEndpoint === '' ? withoutEndpoint(listener) : withEndpoint(listener, proxyEndpoint)
    const peer = { ip: LOOPBACK, port: 0 }
    return {
      name: formatTarget(target),
      arrival: { protocol: 'http-connect', listener: entered, peer, target, acceptedAt: 0 },
      candidate: recordedCandidate(ports.candidateOf(address, port), session),
      categories: recordedCategories(ports.categoriesOf(target, address), session),
    }
  }
}

const LOOPBACK = ip('127.0.0.1')

/** The record's country is the one its rules saw; the database at hand may say another. */
function placedIn(place: Place | undefined, country: string, continent: string): Place | undefined {
  if (country === '' && continent === '') return place
  const facts = countryFacts(country.toUpperCase())
  const { latitude, longitude } = place ?? facts ?? { latitude: 0, longitude: 0 }
  const written = { ...(country === '' ? {} : { country: country.toUpperCase() }) }
  return { ...place, latitude, longitude, ...written, continent: continent.toUpperCase() || (facts?.continent ?? '') }
}

function recordedCandidate(candidate: Candidate, { originCountry, originContinent }: RecordedSession): Candidate {
  const place = placedIn(candidate.place, originCountry, originContinent)
  return place === undefined ? candidate : { ...candidate, place }
}

/** What the record found out about the destination, else what the configuration says. */
function recordedCategories(
  known: RecordedDestination['categories'],
  { applications, contentCategories }: RecordedSession,
): RecordedDestination['categories'] {
  const [apps, contents] = [numbersIn(applications), numbersIn(contentCategories)]
  if (apps.length === 0 && contents.length === 0) return known
  return {
    applications: apps.length === 0 ? known.applications : apps,
    contentCategories: contents.length === 0 ? known.contentCategories : contents,
  }
}

function numbersIn(list: string): readonly number[] {
  return (list.match(/\d+/g) ?? []).map(Number)
}

function withoutEndpoint({ endpoint: _, ...listener }: Arrival['listener']): Arrival['listener'] {
  return listener
}

function withEndpoint(listener: Arrival['listener'], host: string): Arrival['listener'] {
  return { ...listener, endpoint: { kind: 'identity', name: host, host, networks: [] } }
}

/** Somebody the configuration does not know has a mail address and no group. */
function identityOf({ email, userId }: RecordedSession, known: Identity | undefined): { identity?: Identity } {
  if (known !== undefined) return { identity: known }
  if (email === '' && userId === '') return {}
  return {
    identity: {
      id: userId === '' ? email : userId,
      email,
      name: '',
      groups: [],
      samlAttributes: new Map(),
      oidcClaims: new Map(),
    },
  }
}

function deviceOf(
  { deviceId, deviceName }: RecordedSession,
  devices: ReadonlyMap<string, Device>,
): { device?: Device } {
  const known = devices.get(deviceId.toLowerCase()) ?? devices.get(deviceName)
  if (known !== undefined) return { device: known }
  if (deviceId === '' && deviceName === '') return {}
  return { device: { id: deviceId, name: deviceName, posture: { passed: [], failed: [] } } }
}

function internalOf({ internalSourceIp }: RecordedSession): { internalSource?: Ip } {
  const internal = internalSourceIp === '' ? undefined : parseIp(internalSourceIp)
  return internal === undefined ? {} : { internalSource: internal }
}

/** What is prepared per place, such as its nearest data center, is kept by the place as a value: the same one each time. */
const MOST_PLACES = 10_000

/** Where the lab took the person to be, else the city of the data center the session came in at; undefined: ask
 *  the geo database. */
function placeOf(session: RecordedSession, places: Map<string, Place>): Place | undefined {
  const { latitude, longitude, placeCity, placeCountry } = session
  if (latitude !== undefined && longitude !== undefined) {
    const key = `${latitude} ${longitude} ${placeCountry} ${placeCity}`
    const known = places.get(key)
    if (known !== undefined) return known
    const city = placeCity === '' ? {} : { city: placeCity }
    const userPlace = { ...city, ...(placeCountry === '' ? {} : { country: placeCountry }), latitude, longitude }
    if (places.size >= MOST_PLACES) places.clear()
    places.set(key, userPlace)
    return userPlace
  }
  return session.fromLab ? undefined : COLOS.get(session.ingressColo.toUpperCase())
}
