// Test origins that a program adds to its lab, and what each origin saw of the requests that reached it.

import { checkShape } from '../config/check-shape.ts'
import { DESTINATION, type RawDestination } from '../config/lab-schema.ts'
import { createProblems } from '../config/problems.ts'
import { readHostName } from '../config/reading.ts'
import { parseSourceDocument } from '../config/source-document.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { InputError } from '../errors/issue.ts'
import type { StartedLab } from '../lab/start-lab.ts'
import { fromIpv4Number, ip } from '../net/ip.ts'
import type { OnOriginRequest, OriginRequest } from '../origins/origin-request.ts'
import { atPath, checkOptions, FLAG, oneOf, optionError, TEXT, TEXTS } from './check-options.ts'
import type { LabOrigin, NewOrigin, OriginRequestSeen } from './lab.ts'

const OPTIONS = {
  host: TEXT,
  allow: TEXTS,
  kind: oneOf(['echo', 'saas', 'search', 'site']),
  title: TEXT,
  addresses: TEXTS,
  place: TEXT,
  proxiedByCloudflare: FLAG,
}
const MOST_REQUESTS = 1000
/** Addresses for origins behind 192.0.2.0/24: 198.18.0.0/16, for measurements (RFC 2544), which nobody's origin has. */
const FURTHER = ip('198.18.0.0').words[0] ?? 0
const FURTHER_ADDRESSES = 65_536

/** Keeps what origins see; handed to the lab before it starts. */
export class RequestLog {
  readonly #byHost = new Map<string, OriginRequestSeen[]>()

  readonly take: OnOriginRequest = (request, status) => {
    const requests = this.of(request.site.spec.name)
    requests.push(seen(request, status))
    if (requests.length > MOST_REQUESTS) requests.shift()
  }

  /** The list itself, which grows. */
  of(host: string): OriginRequestSeen[] {
    const requests = this.#byHost.get(host) ?? []
    this.#byHost.set(host, requests)
    return requests
  }

  /** Forgets every request; the lists stay the same objects. */
  clear(): void {
    for (const requests of this.#byHost.values()) requests.length = 0
  }
}

function seen({ method, scheme, request, client, at }: OriginRequest, status: number): OriginRequestSeen {
  const flow = client?.attempt.flow
  const decision = client?.attempt.decision
  return {
    method,
    url: `${scheme}://${request.headers.host ?? ''}${request.url ?? '/'}`,
    headers: { ...request.headers },
    egressIp: client?.address.text,
    user: flow?.identity?.email,
    rule: decision?.rule?.name,
    outcome: decision?.outcome,
    status,
    at: new Date(at).toISOString(),
  }
}

/** The origins a program adds, and the requests they and the configured ones got. */
export class Origins {
  readonly #lab: StartedLab
  readonly #log: RequestLog
  #added: readonly RawDestination[] = []
  /** changes happen one after the other */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(lab: StartedLab, log: RequestLog) {
    this.#lab = lab
    this.#log = log
  }

  /** Serves one more origin and empties its list of requests. Rejects with an InputError; then nothing has changed. */
  async add(origin: NewOrigin): Promise<LabOrigin> {
    checkOptions(origin, OPTIONS)
    if (origin.host === undefined) throw optionError(['host'], 'the origin has no `host`')
    return this.#inTurn(async () => {
      const destination = this.#destinationOf(origin)
      try {
        await this.#lab.changeDestinations([...this.#added, destination])
      } catch (thrown) {
        if (!(thrown instanceof InputError)) throw thrown
        throw new InputError(
          atPath(thrown.issues, []).map((issue) => ({ ...issue, path: optionPath(issue.path ?? []) })),
        )
      }
      this.#added = [...this.#added, destination]
      this.#log.of(readHostName(origin.host)).length = 0
      return this.get(origin.host)
    })
  }

  /** A test origin, added or configured. Throws an InputError for any other host. */
  get(host: string): LabOrigin {
    const name = readHostName(host)
    const { destinations, origins } = this.#lab.decider.config
    const destination = destinations.find((one) => one.name === name)
    if (destination === undefined || !origins.some((origin) => origin.name === name)) {
      const hint = didYouMean(
        host,
        origins.map((origin) => origin.name),
      )
      throw optionError(['host'], `there is no test origin \`${host}\``, hint)
    }
    return {
      host: name,
      addresses: destination.addresses.map((address) => address.public.text),
      requests: this.#log.of(name),
      remove: () => this.remove(name),
    }
  }

  /** Ends an origin that was added. Rejects with an InputError for any other host. */
  async remove(host: string): Promise<void> {
    return this.#inTurn(async () => {
      const name = readHostName(host)
      const left = this.#added.filter((one) => readHostName(one.name ?? '') !== name)
      if (left.length === this.#added.length) {
        const hint = didYouMean(
          host,
          this.#added.flatMap((one) => one.name ?? []),
        )
        throw optionError(['host'], `no origin \`${host}\` was added`, hint)
      }
      await this.#lab.changeDestinations(left)
      this.#added = left
    })
  }

  /** As at the start. */
  async reset(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#added.length > 0) await this.#lab.changeDestinations([])
      this.#added = []
      this.#log.clear()
    })
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act)
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** As the configuration would have it. Throws an InputError with the paths of the options. */
  #destinationOf({ host, allow, title, place, proxiedByCloudflare = false, ...rest }: NewOrigin): RawDestination {
    const { kind = allow === undefined ? 'echo' : 'saas', addresses = [this.#freeAddress()] } = rest
    const { destinations } = this.#lab.decider.config
    if (destinations.some(({ name }) => name === readHostName(host))) {
      throw optionError(
        ['host'],
        `the lab has a destination \`${host}\` already`,
        'remove it first, or use another name',
      )
    }
    const raw = {
      name: host,
      addresses,
      origin: { kind, ...(allow === undefined ? {} : { allow }), ...(title === undefined ? {} : { title }) },
      ...(place === undefined ? {} : { place }),
      proxied_by_cloudflare: proxiedByCloudflare,
    }
    const problems = createProblems(parseSourceDocument('origins.add', ''))
    checkShape(DESTINATION, raw, problems)
    if (problems.issues.length === 0) return raw as RawDestination
    throw new InputError(atPath(problems.issues, []).map((issue) => ({ ...issue, path: optionPath(issue.path ?? []) })))
  }

  #freeAddress(): string {
    const { destinations } = this.#lab.decider.config
    const taken = new Set(destinations.flatMap(({ addresses }) => addresses.map((address) => address.public.text)))
    for (let at = 1; at < 255; at++) if (!taken.has(`192.0.2.${at}`)) return `192.0.2.${at}`
    for (let at = 0; at < FURTHER_ADDRESSES; at++) {
      const { text } = fromIpv4Number(FURTHER + at)
      if (!taken.has(text)) return text
    }
    throw optionError(
      ['addresses'],
      'all addresses of 192.0.2.0/24 and 198.18.0.0/16 are taken',
      'give the origin `addresses` of its own',
    )
  }
}

/** Where an option stands that the configuration knows by another path. */
function optionPath(path: readonly (string | number)[]): readonly (string | number)[] {
  const [section, , ...inside] = path
  if (section === 'destinations') return optionPath(inside)
  const [first, ...rest] = path
  if (first === 'origin') return rest
  if (first === 'name') return ['host']
  return first === 'proxied_by_cloudflare' ? ['proxiedByCloudflare'] : path
}
