// The identify stage: who the client of a new connection is, and which device and virtual network it uses. Does not
// decide what it may reach.

import type { JWTVerifyGetKey } from 'jose'
import type { ConfiguredDevice, ConfiguredSource, ConfiguredUser, IdentityProvider } from '../config/lab-config.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { containsIp } from '../net/cidr.ts'
import { type Ip, unmapIp } from '../net/ip.ts'
import type { VirtualNetwork } from '../policy/account.ts'
import type { Identity } from '../policy/flow.ts'
import type { Place } from '../policy/place.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { ClientCertificate, ClientInfo } from '../proxy/arrival.ts'
import type { ClientContext } from '../proxy/stage-values.ts'
import { createDirectory, type Directory, type People } from './directory.ts'
import { createKeySet, keysFrom } from './key-set.ts'
import {
  type CredentialDelay,
  createBackOff,
  createVerifier,
  type Verifier,
  waitUnreferenced,
  wrongCredentials,
} from './password-verifier.ts'
import { createTokenVerifier, type TokenVerifier } from './token-verifier.ts'
import { type Choices, type ParsedLogin, parseChoices, readLogin, shown } from './user-name.ts'

export interface IdentifierOptions {
  readonly people: People
  /** the place of an address according to the geo database */
  readonly placeOf: (address: Ip) => Place | undefined
  /** The id of the virtual network a user chose; null: the account's default; undefined: no choice, so the
   *  configuration's network applies. */
  readonly chosenVirtualNetwork: (identity: Identity) => string | null | undefined
  /** time, which tests control */
  readonly patience?: CredentialDelay
  /** `on-use`: nobody logs in here, as where connections are only decided; default: `ahead` */
  readonly hashes?: 'ahead' | 'on-use'
  /** lab time, epoch ms; default: the machine's */
  readonly now?: () => number
}

export interface Identifier {
  /** Synchronous for credentials that were verified before. Throws or rejects with `identity.*`, or
   *  `request.malformed` for invalid choices. */
  identify(client: ClientInfo, snapshot: Snapshot): ClientContext | Promise<ClientContext>
  /** Replaces users, devices and sources in one step, and forgets all verified credentials; unless the
   *  lists are the very ones in use. */
  replacePeople(people: People): void
}

const NO_PROOF =
  'a SOCKS4 user id has no password and proves no identity; log in with SOCKS5 or HTTP, or remove the email address'
const NO_LOGIN: ParsedLogin = Object.freeze({ email: '', parameters: '', password: '' })
const NO_TOKEN = 'the Bearer credentials are not a token, or no identity provider is configured'

interface IdentifyInputs {
  readonly directory: Directory
  readonly verifier: Verifier
  readonly tokens: TokenVerifier
  readonly options: IdentifierOptions
}

/** Creates the identify stage (docs/identity.md) for the given users, devices and sources. */
export function createIdentifier(options: IdentifierOptions): Identifier {
  const patience = options.patience ?? {
    backOff: createBackOff(() => performance.now()),
    wait: waitUnreferenced,
  }
  const keysOf = keptKeySets()
  const now = options.now ?? Date.now
  const inputsOf = (people: People): IdentifyInputs => {
    const directory = createDirectory(people)
    const tokens = createTokenVerifier({ providers: people.identityProviders, directory, keysOf, now })
    return { directory, verifier: createVerifier(directory, { ...patience, hashes: options.hashes }), tokens, options }
  }
  let known = options.people
  let inputs = inputsOf(known)
  return {
    identify(client, snapshot) {
      const current = inputs
      const peer = unmapIp(client.peer.ip)
      const source = current.directory.sourceOf(peer)
      const login = client.credentials === undefined ? NO_LOGIN : readLogin(client.credentials)
      const user = authenticate(current, client, login, { peer, source })
      const claimed = { client, login, peer, source, snapshot }
      if (user instanceof Promise) return user.then((found) => contextOf(current, claimed, found))
      return contextOf(current, claimed, user)
    },
    replacePeople(people) {
      if (isSamePeople(people, known)) return
      known = people
      inputs = inputsOf(people)
    },
  }
}

function isSamePeople(one: People, other: People): boolean {
  const parts = ['users', 'groups', 'identityProviders', 'devices', 'sources'] as const satisfies (keyof People)[]
  return parts.every((part) => one[part] === other[part])
}

/** Keys outlive a reload of the configuration if their source is the same. */
function keptKeySets(): (provider: IdentityProvider) => JWTVerifyGetKey {
  const sets = new Map<string, JWTVerifyGetKey>()
  return ({ name, keys }) => {
    const place = keys.kind === 'url' ? keys.url : keys.path
    const found = sets.get(place) ?? createKeySet(name, keysFrom(keys), () => performance.now())
    sets.set(place, found)
    return found
  }
}

/** The user of a connection; `undefined` if it has none. */
function authenticate(
  { directory, verifier, tokens }: IdentifyInputs,
  { listener, credentials, signedInAs, tls }: ClientInfo,
  { email, password }: ParsedLogin,
  { peer, source }: Pick<ClaimedClient, 'peer' | 'source'>,
): ConfiguredUser | undefined | Promise<ConfiguredUser> {
  const { endpoint, fixedUser, authentication } = listener
  if (endpoint?.kind === 'ip') {
    if (!endpoint.networks.some((network) => containsIp(network, peer))) throw sourceNotAllowed(peer, endpoint.name)
    return undefined
  }
  const mapped = source?.user === undefined ? undefined : directory.userOf(source.user)
  if (fixedUser !== undefined) return directory.userOf(fixedUser) ?? refuseGone(fixedUser)
  if (authentication === 'anonymous') return mapped
  if (tls?.certificate !== undefined) return ownerOf(directory, tls.certificate, email)
  if (credentials?.scheme === 'user-id') {
    if (email !== '' && email !== mapped?.identity.email) throw new GatewayError('identity.required', NO_PROOF)
  } else if (credentials !== undefined) {
    if (credentials.scheme === 'bearer' && !tokens.takes(password)) throw wrongCredentials(NO_TOKEN)
    if (tokens.takes(password)) return tokens.verify(password, email)
    if (email !== '' || authentication === 'required') return verifier.verify({ email, password, source: peer.text })
  }
  const known = signedInAs === undefined ? undefined : directory.userOf(signedInAs)
  if (known !== undefined) return known
  if (mapped !== undefined && endpoint === undefined) return mapped
  if (authentication === 'optional') return undefined
  throw new GatewayError('identity.required', 'this listener requires a user name and a password')
}

/** A certificate is a login of its own, so no password is checked. A user name beside it may carry choices, but must
 *  not name another user (TL-06). */
function ownerOf(directory: Directory, certificate: ClientCertificate, named: string): ConfiguredUser {
  if (certificate.kind === 'refused') {
    throw new GatewayError('identity.certificate_refused', `the client certificate ${certificate.problem}`)
  }
  const user = directory.userOf(certificate.email)
  if (user === undefined) {
    const message = `the client certificate names ${shown(certificate.email)}, who is not a user of this lab`
    throw new GatewayError('identity.certificate_refused', message)
  }
  if (named !== '' && named !== certificate.email) {
    throw new GatewayError('identity.rejected', 'the user name does not match the client certificate')
  }
  return user
}

interface ClaimedClient {
  readonly client: ClientInfo
  readonly login: ParsedLogin
  readonly peer: Ip
  readonly source: ConfiguredSource | undefined
  readonly snapshot: Snapshot
}

/** Choices are parsed once the user is known, so that unauthenticated clients learn nothing from them. */
function contextOf(inputs: IdentifyInputs, claimed: ClaimedClient, user: ConfiguredUser | undefined): ClientContext {
  const { client, login, peer } = claimed
  const choices = parseChoices(login.parameters)
  const entry = deviceFor(inputs.directory, choices, claimed.source, user)
  const sourceIp = choices.source ?? entry?.device.sourceIp ?? peer
  const userPlace = placeFor(inputs, { choices, entry, user, sourceIp })
  const family = choices.family ?? client.listener.family
  const internal = entry?.device.internalSourceIp
  const virtualNetworkId = virtualNetworkFor(inputs, claimed, choices, user)
  const source = { ip: sourceIp, port: client.peer.port }
  const context: { -readonly [Name in keyof ClientContext]: ClientContext[Name] } =
    user === undefined ? { virtualNetworkId, source } : { identity: user.identity, virtualNetworkId, source }
  if (userPlace !== undefined) context.userPlace = userPlace
  if (entry !== undefined) context.device = entry.device
  if (internal !== undefined) context.internalSource = internal
  if (family !== undefined) context.family = family
  return context
}

/** The device named by the connection, else the source's, else the user's own; never another user's. */
function deviceFor(
  directory: Directory,
  { device: named }: Choices,
  source: ConfiguredSource | undefined,
  user: ConfiguredUser | undefined,
): ConfiguredDevice | undefined {
  if (named !== undefined) {
    const isFree = (entry: ConfiguredDevice) => isFreeFor(user, entry)
    const entry = directory.deviceOf(named)
    if (entry !== undefined && isFree(entry)) return entry
    const free = directory.devices.filter(isFree).map(({ device }) => device.name)
    const hint = didYouMean(named, free, 'there are')
    throw malformed(`there is no device ${shown(named)} for this user${hint === undefined ? '' : `; ${hint}`}`)
  }
  const mapped = source?.device === undefined ? undefined : directory.deviceOf(source.device)
  if (mapped !== undefined && isFreeFor(user, mapped)) return mapped
  return user?.defaultDevice === undefined ? undefined : directory.deviceOf(user.defaultDevice)
}

function isFreeFor(user: ConfiguredUser | undefined, { user: owner }: ConfiguredDevice): boolean {
  return owner === undefined || owner === user?.identity.email
}

/** The user's place: of a source address given with the connection; without one, as configured, else of the device's
 *  public address. */
function placeFor(
  { options: { placeOf } }: IdentifyInputs,
  found: { choices: Choices; entry: ConfiguredDevice | undefined; user: ConfiguredUser | undefined; sourceIp: Ip },
): Place | undefined {
  const given = found.choices.source === undefined ? undefined : placeOf(found.choices.source)
  return given ?? found.entry?.place ?? found.user?.place ?? placeOf(found.sourceIp)
}

/** The virtual network named by the connection, else the listener's, the source's, the user's choice, the default
 *  (docs/identity.md). One chosen earlier that no longer exists is ignored; one named by the connection must exist. */
function virtualNetworkFor(
  { options }: IdentifyInputs,
  { client, source, snapshot }: ClaimedClient,
  { virtualNetwork: named }: Choices,
  user: ConfiguredUser | undefined,
): string {
  const networks = snapshot.account.virtualNetworks
  if (named !== undefined) return (findNetwork(networks, named) ?? refuseUnknown(networks, named)).id
  const current = user === undefined ? undefined : options.chosenVirtualNetwork(user.identity)
  const chosen = current === undefined ? user?.virtualNetwork : (current ?? undefined)
  const network =
    findNetwork(networks, client.listener.virtualNetwork) ??
    findNetwork(networks, source?.virtualNetwork) ??
    findNetwork(networks, chosen) ??
    networks.find(({ isDefault }) => isDefault)
  if (network === undefined) throw new GatewayError('internal.invariant', 'the account has no default virtual network')
  return network.id
}

function findNetwork(networks: readonly VirtualNetwork[], nameOrId: string | undefined): VirtualNetwork | undefined {
  if (nameOrId === undefined) return undefined
  const wanted = nameOrId.toLowerCase()
  return networks.find(({ id, name }) => id === wanted || name.toLowerCase() === wanted)
}

function refuseUnknown(networks: readonly VirtualNetwork[], named: string): never {
  const hint = didYouMean(
    named,
    networks.map(({ name }) => name),
    'there are',
  )
  throw malformed(`there is no virtual network ${shown(named)}${hint === undefined ? '' : `; ${hint}`}`)
}

function refuseGone(email: string): never {
  throw new GatewayError('identity.rejected', `the user of this listener, \`${email}\`, is no longer configured`)
}

function sourceNotAllowed(peer: Ip, endpoint: string): GatewayError {
  const message = `the proxy endpoint \`${endpoint}\` does not admit ${peer.text}`
  return new GatewayError('identity.source_not_allowed', message, { details: { source: peer.text } })
}

function malformed(message: string): GatewayError {
  return new GatewayError('request.malformed', message)
}
