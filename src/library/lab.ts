// What the library gives and takes: the lab as programs see it. docs/library.md is made of the comments here.

import type { Dispatcher, RequestInit, Response } from 'undici'
import type { ExplanationShape } from '../api/shapes/explanations.ts'
import type { JsonObject } from '../config/lab-state.ts'
import type { SessionFilter } from '../proxy/session-filter.ts'
import type { SessionRecord } from '../proxy/session-record.ts'

/** How a lab is started. Every member may be absent. */
export interface StartLabOptions {
  /** path of a configuration file, or its contents as an object; absent: the shipped configuration */
  readonly config?: string | JsonObject
  /** path of a configuration file, as `config` takes it too */
  readonly configFile?: string
  /** keeps everything in memory; nothing is on disk but a temporary folder with the certificates. Default: `true`, unless there is
   *  `state` */
  readonly ephemeral?: boolean
  /** folder for run-time changes, the session log and the certificates; default with `ephemeral: false`: `.egresslab` */
  readonly state?: string
  /** threads that carry connections; default: as configured, else this one */
  readonly workers?: number
  /** how sockets are driven; default: as configured */
  readonly engine?: 'auto' | 'linux' | 'node'
  /** every listener names session, egress address and rule in fields of its HTTP answers and CONNECT replies */
  readonly annotate?: boolean
  /** closes the lab when it is aborted */
  readonly signal?: AbortSignal
  /** gets what the lab has to say of itself, one line at a time; absent: nothing is said */
  readonly log?: (line: string) => void
}

/** A connection to explain. */
export interface ExplainQuery {
  /** a URL, `host:port` or `ip:port` */
  readonly destination: string
  readonly user?: string
  /** name or id */
  readonly virtualNetwork?: string
  /** name or id */
  readonly device?: string
  readonly sourceIp?: string
  readonly family?: 4 | 6
  readonly protocol?: 'tcp' | 'udp'
  /** name of the listener or proxy endpoint */
  readonly listener?: string
  /** data centers to take as down beside those that are */
  readonly colosDown?: readonly string[]
}

/** A rule to make, in the words of a configuration file or of Cloudflare's API. */
export interface GatewayRule {
  readonly name: string
  readonly description?: string
  /** default: `true` */
  readonly enabled?: boolean
  /** default: behind the others */
  readonly precedence?: number
  /** expressions; absent: true */
  readonly traffic?: string
  readonly identity?: string
  readonly device_posture?: string
  /** addresses of dedicated egress; absent or null: shared egress. `ipv6` defaults to the range of the same dedicated IP */
  readonly egress?: { readonly ipv4: string; readonly ipv4_fallback?: string; readonly ipv6?: string } | null
  /** the same as Cloudflare spells it, in place of `egress` */
  readonly rule_settings?: JsonObject | null
  /** and any other member of Cloudflare's rules */
  readonly [member: string]: unknown
}

/** A rule as Cloudflare's API returns it. */
export interface StoredRule extends JsonObject {
  readonly id: string
  readonly name: string
  readonly precedence: number
  readonly enabled: boolean
  readonly traffic: string
}

/** A running lab. `await using` closes it at the end of its block. */
export interface Lab {
  /** The URL of the proxy for a client, with the credentials and choices in it. The scheme for SOCKS is `socks5h`: the proxy resolves
   *  names. Throws an InputError for names that the lab does not know. */
  proxyUrl(choice?: ProxyChoice): string
  /** Sends one request through the proxy, on a connection of its own, as the platform's `fetch` would. Trusts the lab's certificates.
   *  Throws an InputError for options that cannot be, a GatewayError where the proxy refuses the login or a tunnel (what it answers to a
   *  plain `http:` request is the response), else as `fetch` does. */
  fetch(url: string | URL, init?: LabFetchInit): Promise<Response>
  /** A dispatcher of undici that does the same for every request, each on a connection of its own. The lab closes it. */
  dispatcher(choice?: ProxyChoice): Dispatcher
  /** The variables by which programs find proxy and certificates, to put beside those of this process. */
  env(choice?: ProxyChoice): Record<string, string>
  /** path of the certificate of the lab's authority, PEM; gone with the lab where it is ephemeral */
  readonly caFile: string
  /** The API: its base URL, and the token for it. */
  readonly api: { readonly url: string; readonly token: string }
  /** The lab's test origins. */
  readonly origins: {
    /** Starts a test origin that every new connection finds by its name. Some 240 fit in beside those of the shipped
     *  configuration, as long as they have no `addresses` of their own. Throws an InputError. */
    add(origin: NewOrigin): Promise<LabOrigin>
    /** The test origin of this name, one of the configuration too. Throws an InputError where there is none. */
    get(host: string): LabOrigin
    /** Takes an added origin away. Throws an InputError where none of this name was added. */
    remove(host: string): Promise<void>
  }
  /** Finished sessions, the last 1,000. A session ends with its connection. */
  readonly sessions: {
    /** Those that fit, oldest first. */
    list(filter?: SessionFilter | SessionPredicate): readonly SessionRecord[]
    /** The first that fits, finished already or to come. Rejects with an InputError after `timeoutMs` (5,000). */
    waitFor(filter: SessionFilter | SessionPredicate, options?: { readonly timeoutMs?: number }): Promise<SessionRecord>
    /** Forgets those that have finished; the session log keeps them. */
    clear(): void
  }
  /** Decides a connection that nobody makes, and tells why. Throws an InputError, or a GatewayError where the connection fails before a
   *  decision. */
  explain(query: ExplainQuery): Promise<ExplanationShape>
  /** The egress rules, as Cloudflare's API has them. A change is in force when its promise resolves. All throw an InputError. */
  readonly rules: {
    list(): Promise<readonly StoredRule[]>
    /** Makes these all there are, in one step; where one is refused, nothing changes. */
    replace(rules: readonly GatewayRule[]): Promise<readonly StoredRule[]>
    add(rule: GatewayRule): Promise<StoredRule>
    /** By name or id. */
    remove(rule: string): Promise<void>
  }
  /** Data centers, by code. */
  readonly colos: {
    /** Takes one out. Open connections that depend on it stay, unless `reset` is set. */
    down(code: string, options?: { readonly reset?: boolean }): Promise<void>
    up(code: string): Promise<void>
  }
  /** The lab's clock, which runs at the machine's pace from wherever it is set. Each resolves to the new time, RFC 3339. */
  readonly clock: {
    set(time: string | Date): Promise<string>
    /** By `90s`, `15m`, `8h`, `14d`, `6w`; `-8h` goes back. */
    advance(duration: string): Promise<string>
    reset(): Promise<string>
  }
  readonly virtualNetworks: {
    /** Moves a user to a virtual network, by name or id; null returns to the default. */
    choose(user: string, virtualNetwork: string | null): Promise<void>
  }
  /** Everything as at the start: rules and all else that the API changes, data centers, clock, choices, origins, what origins saw,
   *  finished sessions. Open connections stay. */
  reset(): Promise<void>
  /** Stops the lab: open connections get the drain time of the configuration, then a reset. Closing it again does nothing;
   *  what needs a running lab throws an InputError with `library.closed` from then on. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type SessionPredicate = (session: SessionRecord) => boolean

/** Who connects through the proxy, and how. Every member may be absent. */
export interface ProxyChoice {
  /** email of a user of the configuration; absent: no credentials are sent */
  readonly user?: string
  /** absent: the user's own, from the configuration */
  readonly password?: string
  /** name or id of the virtual network; absent: the one the user chose, else the default */
  readonly virtualNetwork?: string
  /** name or id of the device the user connects from */
  readonly device?: string
  /** the device's public address */
  readonly sourceIp?: string
  /** address family of the destination; absent: both, IPv6 first */
  readonly family?: 4 | 6
  /** what is spoken with the proxy; absent: `http`, or `https` where the listener takes nothing else */
  readonly protocol?: 'http' | 'https' | 'socks5'
  /** name of the listener, or of its proxy endpoint; absent: the first that fits */
  readonly listener?: string
}

/** What `fetch` takes: the choice of who connects, beside everything the platform's own takes. */
export interface LabFetchInit extends RequestInit, ProxyChoice {}

/** A test origin to add. */
export interface NewOrigin {
  /** its host name */
  readonly host: string
  /** addresses and networks it lets in; every other one gets 403. Absent: it answers everybody with the address it sees */
  readonly allow?: readonly string[]
  /** what it is; absent: `saas` with `allow`, else `echo` */
  readonly kind?: 'echo' | 'saas' | 'search' | 'site'
  /** what it calls itself; absent: its host name */
  readonly title?: string
  /** its public addresses, those that rules see; absent: one of 192.0.2.0/24 */
  readonly addresses?: readonly string[]
  /** code of the data center it is near; absent: by its address */
  readonly place?: string
  /** its DNS record is orange-clouded */
  readonly proxiedByCloudflare?: boolean
}

/** A test origin of the running lab. */
export interface LabOrigin {
  readonly host: string
  /** its public addresses */
  readonly addresses: readonly string[]
  /** the last 1,000 requests it got since the start or the last `reset()`, oldest first */
  readonly requests: readonly OriginRequestSeen[]
  /** Takes it away; origins of the configuration stay. */
  remove(): Promise<void>
}

/** A request as an origin saw it, and what the lab knows of it. */
export interface OriginRequestSeen {
  readonly method: string
  /** whole, with scheme, host and query */
  readonly url: string
  /** by name in lower case */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** the public address it came from; undefined: it did not come through the lab */
  readonly egressIp: string | undefined
  /** email of the user behind it */
  readonly user: string | undefined
  /** name of the rule that decided its connection */
  readonly rule: string | undefined
  readonly outcome: string | undefined
  /** of the answer */
  readonly status: number
  /** lab time, RFC 3339 */
  readonly at: string
}
