// What the API needs of the rest of the lab; the composition root wires it. The API never imports a sibling.

import type { Static } from 'typebox'
import type { RuleVocabulary } from '../analysis/value-findings.ts'
import type { Draft, Kind, LabSnapshot, Override, ProxyEndpointDocument, Touched } from '../config/lab-state.ts'
import type { Matrix } from '../decider/matrix.ts'
import type { MatrixQuestion } from '../decider/matrix-question.ts'
import type { EgressVerification } from '../decider/verify-egress.ts'
import type { ProviderSignIn } from '../identity/provider-sign-in.ts'
import type { Logpush } from '../log/logpush.ts'
import type { RuleUses } from '../log/rule-uses.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { EgressFaultCount, EgressOutage } from '../outbound/egress-health.ts'
import type { NetworkId } from '../policy/ids.ts'
import type { Place } from '../policy/place.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { ConnectionCounts, DatagramCounts } from '../proxy/counters.ts'
import type { LiveSession, OpenSession, RecentSession } from '../proxy/live-sessions.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { AccessTokens } from '../store/access-tokens.ts'
import type { AuditLog } from '../store/audit-log.ts'
import type { PolicyHistory } from '../store/policy-history.ts'
import type { EngineName } from '../transport/engine.ts'
import type { FLEET } from './shapes/session-shapes.ts'

export interface ApiPorts {
  readonly plane: ControlPlane
  /** absent: connections are carried here, by the state as it is, and what is known of them is always up to date */
  readonly traffic?: TrafficPort
  readonly sessions: SessionsPort
  /** how often each rule decided, since when that is known, and when last */
  readonly ruleUses: Pick<RuleUses, 'counted'>
  readonly diagnostics: DiagnosticsPort
  readonly token: TokenPort
  /** of people and programs, each with its role */
  readonly tokens: AccessTokens
  readonly audit: AuditLog
  readonly policyHistory: PolicyHistory
  /** Decides one hypothetical connection; answers what `egresslab explain --json` prints. Throws GatewayError or
   *  InputError for a flow that cannot be. */
  readonly explain: (question: ExplainQuestion) => Promise<unknown>
  /** Who leaves from where, as things are. Throws an InputError for what cannot be asked. */
  readonly matrix: (question: MatrixQuestion) => Promise<Matrix>
  /** Are these a configured user's proxy credentials? Answers the canonical email. `user` is the name as sent, choices and all;
   *  `peer` the caller's address. Takes as long for unknown users as for known ones, and longer with every wrong guess. Throws
   *  GatewayError `request.malformed` for choices that cannot be. */
  readonly checkUser: (user: string, password: string, peer: string) => Promise<string | undefined>
  readonly users: () => readonly ConfiguredPerson[]
  /** what the configuration declares for rules to compare with */
  readonly catalogue: () => Catalogue
  /** absent: no listener opens for an endpoint made here */
  readonly endpoints?: EndpointsPort
  /** what rules can name; absent: their names are not checked */
  readonly vocabulary?: () => RuleVocabulary
  /** the listeners that are open, with their real ports */
  readonly listeners: () => readonly Listener[]
  /** the certificate of the development authority, PEM */
  readonly authority: () => string
  /** how the lab's own proxy says for whom it asks; absent: it never does */
  readonly voucher?: Voucher
  /** absent: people sign in to the console with a token alone */
  readonly provider?: ProviderSignIn
  /** absent: no listener has a sign-in page */
  readonly signIn?: SignInPort
  readonly logpush: LogpushPort
  readonly status: StatusPort
  /** Files of the console by path (`/`, `/app.js`); undefined where there is none. No secrets in them. */
  readonly page?: (path: string) => SessionPage | undefined
  /** absent: the lab has no Gateway DNS */
  readonly dns?: DnsPort
  /** absent: the lab is alone */
  readonly fleet?: FleetPort
  /** Takes notices for the operator's log. */
  readonly notice: (message: string) => void
}

/** The fleet this lab is a member of: every change goes through it. */
export interface FleetPort {
  /** Runs a change on a copy of the state and resolves once the fleet has it and it is in force here. Rejects with what `run` does,
   *  or ChangeError. */
  transact<T>(run: (plane: ControlPlane) => T | Promise<T>, until: FleetWait): Promise<T>
  status(): FleetStatus
  /** Calls back with each session that a member has sent. Answers the way to stop. */
  followSessions(listener: (record: SessionRecord) => void): () => void
  /** The last sessions of the other members while somebody follows, oldest first, as far as NATS gives them in time. */
  recentSessions(): Promise<readonly SessionRecord[]>
  findSession(id: string): SessionRecord | undefined
  /** Both throw ChangeError. */
  drain(member: string, drained: boolean): Promise<void>
  leave(member: string): Promise<void>
}

/** When a change is answered: once it is in force at this member, or at every one that is up. */
export type FleetWait = 'member' | 'fleet'

/** As `GET /lab/v1/fleet` answers it. */
export type FleetStatus = Readonly<Static<typeof FLEET>>

/** The store, as far as the API goes. */
export interface ControlPlane {
  current(): LabSnapshot
  subscribe(listener: (snapshot: LabSnapshot, change: ControlPlaneChange) => void): () => void
  /** Calls `witness` before every change is made; what it writes to the state's tables is committed with the change or not at all. */
  witness(witness: (next: LabSnapshot, change: ControlPlaneChange) => void): void
  change<T>(edit: (draft: Draft) => T, options?: { readonly expectRevision?: number }): T
  /** What `edit` would make of the current state; nothing happens. Throws ChangeError as {@link change} does. */
  preview(edit: (draft: Draft) => void): LabSnapshot
  setColoDown(code: string, down: boolean): void
  chooseVirtualNetwork(email: string, virtualNetworkId: NetworkId | null): void
  chosenVirtualNetwork(email: string): string | undefined
  now(): number
  setClockOffset(offsetMs: number): void
  overrides(): readonly Override[]
  revert(which: 'all' | { readonly kind: Kind; readonly id: string }): void
  readonly rulesFromFile: boolean
}

export interface ControlPlaneChange {
  readonly revision: number
  readonly at: number
  readonly touched: readonly Touched[]
  /** the member of the fleet where it was asked for; absent: here */
  readonly member?: string
}

/** Listeners of proxy endpoints that are made at the API; they close when the endpoint is deleted. */
export interface EndpointsPort {
  /** Resolves to the port that is now open. Rejects with the system's error. */
  open(endpoint: ProxyEndpointDocument): Promise<number>
  /** Closes one that was opened in vain. */
  shut(id: string): void
  addressOf(id: string): { readonly host: string; readonly port: number } | undefined
}

/** Connections that are carried elsewhere, in workers say. */
export interface TrafficPort {
  /** Resolves when every new connection is decided by the state as it is now. */
  inForce(): Promise<void>
  /** worker threads that are up, and the oldest revision one of them decides by */
  standing(): { readonly workers: number; readonly revision: number }
  /** Brings what is known of connections up to date. */
  refresh(): Promise<void>
}

export interface SessionsPort {
  live(): readonly LiveSession[]
  /** false where there is no such session */
  close(id: string): boolean
  /** Cuts the open sessions that depend on a data center, or leaves them alone; answers how many they are. */
  settle(colo: string, reset: boolean): Promise<{ readonly reset: boolean; readonly count: number }>
  /** the last finished sessions, oldest first */
  recent(): readonly SessionRecord[]
  forget(): void
  subscribe(listener: (record: SessionRecord) => void): () => void
}

/** Logpush jobs, as far as the API goes: their destinations, and how they are doing. */
export type LogpushPort = Pick<Logpush, 'check' | 'needsChallenge' | 'challenge' | 'isAnswered' | 'status'>

/** Gateway DNS. */
export interface DnsPort {
  /** The reply to one message, for the client at this address. `ttl`: seconds for which the whole of it may be kept. */
  answer(
    message: Buffer,
    peer: string,
  ): Promise<
    | { readonly kind: 'reply'; readonly message: Buffer; readonly ttl: number }
    | { readonly kind: 'silence' }
    | { readonly kind: 'stranger' }
  >
  /** where it really listens */
  endpoints(): readonly Endpoint[]
  /** what is given out now */
  placeholders(): readonly PlaceholderFacts[]
  counts(): { readonly queries: number; readonly placeholders: number; readonly exhausted: number }
}

export interface PlaceholderFacts {
  readonly placeholder: string
  readonly name: string
  /** the real one */
  readonly address: string
  readonly connections: number
  readonly unused_seconds: number
}

export interface TokenPort {
  current(): string
  rotate(): string
  /** Calls back when the token was replaced. */
  onRotated(listener: () => void): void
}

/** Health and numbers of the running lab. */
export interface StatusPort {
  readonly version: string
  /** how connections enter and leave */
  readonly engine: EngineName
  /** types of the geo databases in use, such as `GeoLite2-City` */
  geoDatabases(): readonly string[]
  /** epoch ms of machine time */
  readonly startedAt: number
  counts(): ConnectionCounts
  /** What is not as it should be, one clause each; empty: healthy. A stale configuration is named here (CF-01), and whatever
   *  {@link unready} finds. */
  troubles(): Promise<readonly string[]>
  /** What keeps connections from being served or changes and sessions from being kept, one clause each, by trying it: empty means that
   *  it works. */
  unready(): Promise<readonly string[]>
  /** ports in use per egress address, or range where people have an address each */
  portUse(): readonly { readonly egress: string; readonly used: number }[]
  /** connections per egress IP and destination ([E7]): how many were refused, and how often a share of the limit was reached */
  portLimit(): { readonly refused: number; readonly pressure: Readonly<Record<string, number>> }
  datagrams(): DatagramCounts
  /** egress addresses that are failing now, and attempts that failed for it so far */
  egressHealth(): { readonly outages: readonly EgressOutage[]; readonly faults: readonly EgressFaultCount[] }
}

/** Signing in by a page; notes and cookies are opaque and bound to the client's address. */
export interface SignInPort {
  /** how long a browser stays signed in */
  readonly seconds: number
  /** where the browser that was sent here wanted to go; undefined: forged, too old, another client's */
  read(state: string, peer: string): { readonly url: string } | undefined
  /** who is signed in, by the page's cookie */
  signedIn(cookie: string, peer: string): string | undefined
  /** the page's cookie for somebody who proved who they are */
  enter(email: string, peer: string): string
  /** the way back, with a ticket for the proxy */
  onward(state: string, cookie: string, peer: string): string | undefined
  leave(cookie: string, peer: string): void
}

export interface ConfiguredPerson {
  readonly email: string
  readonly name: string
  readonly groups: readonly string[]
  /** where they are, as far as it is known */
  readonly place?: Place
}

/** What rules compare with and only the configuration file declares. */
export interface Catalogue {
  readonly postureChecks: readonly { readonly id: string; readonly name: string }[]
  readonly applications: readonly NamedNumber[]
  readonly contentCategories: readonly NamedNumber[]
}

export interface NamedNumber {
  readonly id: number
  readonly name: string
}

/** A hypothetical connection, as `egresslab explain` takes it. */
export interface ExplainQuestion {
  /** a URL, `host:port` or `ip:port` */
  readonly destination: string
  readonly user?: string
  readonly vnet?: string
  readonly sourceIp?: string
  readonly device?: string
  readonly protocol?: 'tcp' | 'udp'
  readonly endpoint?: string
  readonly family?: 4 | 6
  readonly colosDown?: readonly string[]
}

export interface SessionPage {
  readonly contentType: string
  readonly body: string | Uint8Array
  /** a strong validator in quotes */
  readonly etag?: string
  /** the name carries the contents' hash */
  readonly immutable?: boolean
}

export interface DiagnosticsPort {
  /** sessions open now, oldest first */
  open(): readonly OpenSession[]
  findOpen(id: string): OpenSession | undefined
  /** the last finished sessions, oldest first */
  finished(): readonly RecentSession[]
  findFinished(id: string): RecentSession | undefined
  /** Both answer the way to stop. */
  onOpen(listener: (session: OpenSession) => void): () => void
  onFinish(listener: (session: RecentSession) => void): () => void
  /** Asks the echo origins through the proxy as this user; `undefined` where the user's password is needed and not known.
   *  The password is the configuration's own where none is given and that is a plain one. */
  verify(question: VerifyQuestion): Promise<readonly EgressVerification[] | undefined>
  /** The test origins, and for those with an allowlist who would be let in as things are. */
  origins(): Promise<readonly OriginView[]>
}

export interface VerifyQuestion {
  readonly user: string
  readonly password?: string
  readonly vnet?: string
}

export interface OriginView {
  readonly name: string
  readonly kind: string
  readonly title: string
  readonly addresses: readonly string[]
  readonly proxiedByCloudflare: boolean
  /** where the configuration has it */
  readonly place?: Place
  /** undefined: lets in everybody */
  readonly allow?: readonly string[]
  readonly visitors: readonly PortalUser[]
}

/** What would become of a user's connection to the origin. */
export interface PortalUser {
  readonly user: string
  readonly vnet: string
  readonly outcome: string
  readonly rule: string | null
  readonly egress: string | null
  readonly letIn: boolean
  readonly reason: string
}

/** How the proxy says for whom it asks. */
export interface Voucher {
  /** name of the header field, lower case */
  readonly field: string
  readonly secret: string
}
