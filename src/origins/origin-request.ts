// One request as a test origin sees it: the client, its apparent location, and what the lab knows about its egress.

import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { type Ip, parseIp, unmapIp } from '../net/ip.ts'
import type { Place } from '../policy/place.ts'
import type { DialAttempt, PublicSourceOf } from '../proxy/stage-values.ts'
import type { Site } from './listen-plan.ts'

/** A site's view of an address in its geolocation database, which learns of moves later than the lab ([G2]). */
export interface OriginSiteView {
  readonly place: Place
  /** epoch ms of lab time from which the site reports `comingPlace` */
  readonly changesAt?: number
  readonly comingPlace?: Place
}

/** What origins need from the rest of the lab. */
export interface OriginContext {
  readonly publicSourceOf: PublicSourceOf
  /** `at` is lab time, epoch ms */
  readonly siteViewOf: (address: Ip, at: number) => OriginSiteView | undefined
  /** lab time, epoch ms */
  readonly now: () => number
}

/** Hears of a request once it is answered, with the status of the answer. */
export type OnOriginRequest = (request: OriginRequest, status: number) => void

export interface OriginRequest {
  readonly site: Site
  readonly scheme: 'http' | 'https'
  readonly method: string
  readonly path: string
  readonly request: IncomingMessage
  /** the two ends of the connection as the kernel sees them */
  readonly peer: Endpoint
  readonly local: Endpoint
  /** absent if the client did not come through the lab */
  readonly client?: OriginClient
  /** lab time, epoch ms */
  readonly at: number
}

export interface OriginClient {
  readonly address: Ip
  readonly view?: OriginSiteView
  readonly attempt: DialAttempt
}

/** Interprets an HTTP request to a site. The client's egress is looked up per request, not per connection: by then
 *  the dialler has registered it. */
export function originRequestOf(request: IncomingMessage, site: Site, around: OriginContext): OriginRequest {
  const { socket } = request
  const peer = endpoint(socket.remoteAddress, socket.remotePort)
  const local = endpoint(socket.localAddress, socket.localPort)
  const at = around.now()
  const source = around.publicSourceOf(peer, local)
  const view = source === undefined ? undefined : around.siteViewOf(source.endpoint.ip, at)
  const client = source && {
    address: source.endpoint.ip,
    attempt: source.attempt,
    ...(view === undefined ? {} : { view }),
  }
  return {
    site,
    scheme: socket instanceof TLSSocket ? 'https' : 'http',
    method: request.method ?? 'GET',
    path: pathOf(request.url ?? '/'),
    request,
    peer,
    local,
    ...(client === undefined ? {} : { client }),
    at,
  }
}

/** The path of a request target in origin form or absolute form (RFC 9112 section 3.2), without its query. */
function pathOf(target: string): string {
  const path = target.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*$/s, '')
  return path === '' ? '/' : path
}

/** `Los Angeles, US`, `US`, `34.05, -118.24` */
export function describePlace(place: Place): string {
  const named = [place.city, place.country].filter((part) => part !== undefined)
  return named.length > 0 ? named.join(', ') : `${place.latitude}, ${place.longitude}`
}

/** The client's place in words, with the next one if a move is not visible yet. */
export function describeView(view: OriginSiteView | undefined): string {
  if (view === undefined) return 'unknown'
  const { changesAt, comingPlace, place } = view
  if (changesAt === undefined || comingPlace === undefined) return describePlace(place)
  return `${describePlace(place)} (from ${new Date(changesAt).toISOString().slice(0, 10)}: ${describePlace(comingPlace)})`
}

/** Everything known about a request, for responses in JSON. */
export function requestFacts(request: OriginRequest, client: OriginClient) {
  const { decision } = client.attempt
  return {
    address: client.address.text,
    family: client.address.family,
    geolocation: client.view?.place ?? null,
    geolocation_changes:
      client.view?.changesAt === undefined
        ? null
        : { at: new Date(client.view.changesAt).toISOString(), to: client.view.comingPlace ?? null },
    site: {
      name: request.site.spec.name,
      address: formatEndpoint(request.site.public),
      time: new Date(request.at).toISOString(),
    },
    http: {
      version: request.request.httpVersion,
      method: request.method,
      scheme: request.scheme,
      user_agent: userAgent(request),
    },
    tls: tlsFacts(request),
    lab: {
      outcome: decision.outcome,
      reason: decision.reason,
      rule: decision.rule === null ? null : { id: decision.rule.id, name: decision.rule.name },
      ingress_colo: decision.ingressColo.code,
      physical_colo: decision.physicalColo?.code ?? null,
      logical_colo: decision.logical?.colo.code ?? null,
      bound: formatEndpoint(request.peer),
      dialled: formatEndpoint(request.local),
    },
  }
}

function tlsFacts(request: OriginRequest) {
  const { socket } = request.request
  if (!(socket instanceof TLSSocket)) return null
  const name = socket.servername
  return {
    version: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    server_name: typeof name === 'string' ? name : null,
  }
}

function userAgent(request: OriginRequest): string | null {
  return request.request.headers['user-agent'] ?? null
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const ip = parseIp((address ?? '').replace(/%.*$/, '')) ?? UNSPECIFIED
  return { ip: unmapIp(ip), port: port ?? 0 }
}

/** what a closed socket reports */
const UNSPECIFIED: Ip = { family: 4, words: [0], text: '0.0.0.0' }
