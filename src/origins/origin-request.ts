// One request as a test origin sees it: who seems to have come, from where, and what the lab knows behind that.

import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { type Ip, parseIp, unmapIp } from '../net/ip.ts'
import type { Place } from '../policy/place.ts'
import type { DialAttempt, PublicSourceOf } from '../proxy/stage-values.ts'
import type { Site } from './listen-plan.ts'

/** What a site's geolocation database says of an address; it learns of moves later than the lab ([G2]). */
export interface OriginSiteView {
  readonly place: Place
  /** epoch ms of lab time from which the site will say `comingPlace` */
  readonly changesAt?: number
  readonly comingPlace?: Place
}

/** What origins ask of the rest of the lab. */
export interface OriginContext {
  readonly publicSourceOf: PublicSourceOf
  /** `at` is lab time, epoch ms */
  readonly siteViewOf: (address: Ip, at: number) => OriginSiteView | undefined
  /** lab time, epoch ms */
  readonly now: () => number
}

export interface OriginRequest {
  readonly site: Site
  readonly scheme: 'http' | 'https'
  readonly method: string
  readonly path: string
  readonly request: IncomingMessage
  /** the two ends of the connection as they really are */
  readonly peer: Endpoint
  readonly local: Endpoint
  /** absent when the visitor did not come through the lab */
  readonly visitor?: OriginClient
  /** lab time, epoch ms */
  readonly at: number
}

export interface OriginClient {
  readonly address: Ip
  readonly view?: OriginSiteView
  readonly attempt: DialAttempt
}

/** The visit a request is. The visitor is looked up at the request, not at the connection: by then the dialler knows. */
export function originRequestOf(request: IncomingMessage, site: Site, around: OriginContext): OriginRequest {
  const { socket } = request
  const peer = endpoint(socket.remoteAddress, socket.remotePort)
  const local = endpoint(socket.localAddress, socket.localPort)
  const at = around.now()
  const source = around.publicSourceOf(peer, local)
  const view = source === undefined ? undefined : around.siteViewOf(source.endpoint.ip, at)
  const visitor = source && {
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
    ...(visitor === undefined ? {} : { visitor }),
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

/** The visitor's place in words, with the move that is about to be noticed where there is one. */
export function describeView(view: OriginSiteView | undefined): string {
  if (view === undefined) return 'unknown'
  const { changesAt, comingPlace, place } = view
  if (changesAt === undefined || comingPlace === undefined) return describePlace(place)
  return `${describePlace(place)} (from ${new Date(changesAt).toISOString().slice(0, 10)}: ${describePlace(comingPlace)})`
}

/** Everything known of a visit, for answers in JSON. */
export function requestFacts(visit: OriginRequest, visitor: OriginClient) {
  const { decision } = visitor.attempt
  return {
    address: visitor.address.text,
    family: visitor.address.family,
    geolocation: visitor.view?.place ?? null,
    geolocation_changes:
      visitor.view?.changesAt === undefined
        ? null
        : { at: new Date(visitor.view.changesAt).toISOString(), to: visitor.view.comingPlace ?? null },
    site: {
      name: visit.site.spec.name,
      address: formatEndpoint(visit.site.public),
      time: new Date(visit.at).toISOString(),
    },
    http: {
      version: visit.request.httpVersion,
      method: visit.method,
      scheme: visit.scheme,
      user_agent: userAgent(visit),
    },
    tls: tlsFacts(visit),
    lab: {
      outcome: decision.outcome,
      reason: decision.reason,
      rule: decision.rule === null ? null : { id: decision.rule.id, name: decision.rule.name },
      ingress_colo: decision.ingressColo.code,
      physical_colo: decision.physicalColo?.code ?? null,
      logical_colo: decision.logical?.colo.code ?? null,
      bound: formatEndpoint(visit.peer),
      dialled: formatEndpoint(visit.local),
    },
  }
}

function tlsFacts(visit: OriginRequest) {
  const { socket } = visit.request
  if (!(socket instanceof TLSSocket)) return null
  const name = socket.servername
  return {
    version: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    server_name: typeof name === 'string' ? name : null,
  }
}

function userAgent(visit: OriginRequest): string | null {
  return visit.request.headers['user-agent'] ?? null
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const ip = parseIp((address ?? '').replace(/%.*$/, '')) ?? UNSPECIFIED
  return { ip: unmapIp(ip), port: port ?? 0 }
}

/** what a socket says of itself once it is gone */
const UNSPECIFIED: Ip = { family: 4, words: [0], text: '0.0.0.0' }
