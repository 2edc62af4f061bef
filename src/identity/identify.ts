// The identify stage: a knock at a door in, a persona out. Decides who somebody is and which device and virtual network
// are theirs for this connection; what they may reach is none of its business.

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
import { createTokenVerifier, type TokenVerifier } from './token-verifier.ts'
import { type Choices, type ParsedLogin, parseChoices, readLogin, shown } from './user-name.ts'
import {
  type CredentialDelay,
  createBackOff,
  createVerifier,
  type Verifier,
  waitUnreferenced,
  wrongCredentials,
} from './verifier.ts'

export interface IdentifierOptions {
  readonly people: People
  /** where an address is, through the geo database */
  readonly placeOf: (address: Ip) => Place | undefined
  /** A person's current choice of virtual network by id; null: the account's default was chosen; undefined: nothing was, so the
   *  configuration's word holds. */
  readonly chosenVirtualNetwork: (identity: Identity) => string | null | undefined
  /** time, where tests keep it */
  readonly patience?: CredentialDelay
  /** lab time, epoch ms; default: the machine's */
  readonly now?: () => number
}

export interface Identifier {
  /** Answers at once for credentials that were right before. Throws or rejects with `identity.*`, or `request.malformed` for choices
   *  that cannot be. */
  identify(knock: ClientInfo, snapshot: Snapshot): ClientContext | Promise<ClientContext>
  /** Replaces people, devices and sources in one step; whatever was remembered of credentials is forgotten. */
  replacePeople(people: People): void
}

const NO_PROOF =
  'a SOCKS4 user id comes without a password, so it proves nobody; log in with SOCKS5 or HTTP, or leave the mail address out'
const NO_LOGIN: ParsedLogin = Object.freeze({ email: '', parameters: '', password: '' })
const NO_TOKEN = 'the Bearer credentials are no token, or no identity provider is configured'

interface IdentifyInputs {
  readonly directory: Directory
  readonly verifier: Verifier
  readonly tokens: TokenVerifier
  readonly options: IdentifierOptions
}

export function createIdentifier(options: IdentifierOptions): Identifier {
  const patience = options.patience ?? {
    backOff: createBackOff(() => performance.now()),
    wait: waitUnreferenced,
  }
  const keysOf = keptKeySets()
  const now = options.now ?? Date.now
  const sceneOf = (people: People): IdentifyInputs => {
    const directory = createDirectory(people)
    const tokens = createTokenVerifier({ providers: people.identityProviders, directory, keysOf, now })
    return { directory, verifier: createVerifier(directory, patience), tokens, options }
  }
  let scene = sceneOf(options.people)
  return {
    identify(knock, snapshot) {
      const current = scene
      const peer = unmapIp(knock.peer.ip)
      const source = current.directory.sourceOf(peer)
      const login = knock.credentials === undefined ? NO_LOGIN : readLogin(knock.credentials)
      const user = authenticate(current, knock, login, { peer, source })
      const visit = { knock, login, peer, source, snapshot }
      if (user instanceof Promise) return user.then((found) => personaOf(current, visit, found))
      return personaOf(current, visit, user)
    },
    replacePeople(people) {
      scene = sceneOf(people)
    },
  }
}

/** Keys outlive a reload of the configuration, as long as they come from the same place. */
function keptKeySets(): (provider: IdentityProvider) => JWTVerifyGetKey {
  const sets = new Map<string, JWTVerifyGetKey>()
  return ({ name, keys }) => {
    const place = keys.kind === 'url' ? keys.url : keys.path
    const found = sets.get(place) ?? createKeySet(name, keysFrom(keys), () => performance.now())
    sets.set(place, found)
    return found
  }
}

/** Whose connection this is; `undefined` for nobody's. */
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
  throw new GatewayError('identity.required', 'this listener asks for a user name and a password')
}

/** A certificate is a login of its own: no password is looked at. A user name beside it may carry choices, and may not be
 *  somebody else's (TL-06). */
function ownerOf(directory: Directory, certificate: ClientCertificate, named: string): ConfiguredUser {
  if (certificate.kind === 'refused') {
    throw new GatewayError('identity.certificate_refused', `the client certificate ${certificate.problem}`)
  }
  const user = directory.userOf(certificate.email)
  if (user === undefined) {
    const message = `the client certificate names ${shown(certificate.email)}, who is no user here`
    throw new GatewayError('identity.certificate_refused', message)
  }
  if (named !== '' && named !== certificate.email) {
    throw new GatewayError('identity.rejected', 'the user name is not the one of the client certificate')
  }
  return user
}

interface ClaimedClient {
  readonly knock: ClientInfo
  readonly login: ParsedLogin
  readonly peer: Ip
  readonly source: ConfiguredSource | undefined
  readonly snapshot: Snapshot
}

/** Choices are looked at once it is known whose they are, so that strangers learn nothing from them. */
function personaOf(scene: IdentifyInputs, visit: ClaimedClient, user: ConfiguredUser | undefined): ClientContext {
  const { knock, login, peer } = visit
  const choices = parseChoices(login.parameters)
  const entry = deviceFor(scene.directory, choices, visit.source, user)
  const sourceIp = choices.source ?? entry?.device.sourceIp ?? peer
  const userPlace = placeFor(scene, { choices, entry, user, sourceIp })
  const family = choices.family ?? knock.listener.family
  const internal = entry?.device.internalSourceIp
  const virtualNetworkId = virtualNetworkFor(scene, visit, choices, user)
  const source = { ip: sourceIp, port: knock.peer.port }
  const persona: { -readonly [Name in keyof ClientContext]: ClientContext[Name] } =
    user === undefined ? { virtualNetworkId, source } : { identity: user.identity, virtualNetworkId, source }
  if (userPlace !== undefined) persona.userPlace = userPlace
  if (entry !== undefined) persona.device = entry.device
  if (internal !== undefined) persona.internalSource = internal
  if (family !== undefined) persona.family = family
  return persona
}

/** The device named with the connection, the source's, the user's own; never one that belongs to somebody else. */
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

/** A source address given with the connection says where the user is; without one, the configuration does, else the device's
 *  public address. */
function placeFor(
  { options: { placeOf } }: IdentifyInputs,
  found: { choices: Choices; entry: ConfiguredDevice | undefined; user: ConfiguredUser | undefined; sourceIp: Ip },
): Place | undefined {
  const given = found.choices.source === undefined ? undefined : placeOf(found.choices.source)
  return given ?? found.entry?.place ?? found.user?.place ?? placeOf(found.sourceIp)
}

/** The connection's own choice, the listener's, the source's, the user's current one, the default (command-line.md). A network that was
 *  chosen earlier and is gone since counts as not chosen; one named with the connection has to exist. */
function virtualNetworkFor(
  { options }: IdentifyInputs,
  { knock, source, snapshot }: ClaimedClient,
  { virtualNetwork: named }: Choices,
  user: ConfiguredUser | undefined,
): string {
  const networks = snapshot.account.virtualNetworks
  if (named !== undefined) return (findNetwork(networks, named) ?? refuseUnknown(networks, named)).id
  const current = user === undefined ? undefined : options.chosenVirtualNetwork(user.identity)
  const chosen = current === undefined ? user?.virtualNetwork : (current ?? undefined)
  const network =
    findNetwork(networks, knock.listener.virtualNetwork) ??
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
  const message = `the proxy endpoint \`${endpoint}\` does not let in ${peer.text}`
  return new GatewayError('identity.source_not_allowed', message, { details: { source: peer.text } })
}

function malformed(message: string): GatewayError {
  return new GatewayError('request.malformed', message)
}
