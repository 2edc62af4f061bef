// What the tour plays: the documented scenarios as data. Each step is one request through the proxy, what the
// documentation says must come of it, and how to read that off the answer.

import { cidr, containsIp } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import type { CurlAnswer } from '../../test/support/curl.ts'
import type { Proof } from '../../test/support/example-proof.ts'

export type Scene = RequestScene | ProofScene | ScenarioScene

/** What a configuration promises in its comments. */
export interface ProofScene {
  readonly kind: 'proof'
  readonly title: string
  readonly config: string
  readonly proof: Proof
}

/** A scenario; its expectations are the rows. */
export interface ScenarioScene {
  readonly kind: 'scenario'
  readonly title: string
  /** the scenario's file */
  readonly config: string
}

export interface RequestScene {
  readonly kind?: 'request'
  readonly title: string
  /** the lab it plays in */
  readonly config: string
  readonly steps: readonly Step[]
}

export interface Step {
  readonly scenario: string
  /** user name with parameters, colon, password */
  readonly login: string
  readonly url: string
  /** what to ask for; otherwise the answer is plain */
  readonly accept?: 'application/json'
  readonly expected: string
  /** the answer in the words of `expected` */
  readonly see: (answer: CurlAnswer) => string
}

export const SHIPPED_CONFIG = 'config/lab.yaml'

export const SCENES: readonly RequestScene[] = [
  {
    title: 'No rule: everybody leaves from the nearest of three cities [B5]',
    config: 'config/tour/three-cities.yaml',
    steps: [
      nearest('Amsterdam', 'amsterdam', '203.0.113.10', 'AMS'),
      nearest('Rotterdam', 'rotterdam', '203.0.113.10', 'AMS'),
      nearest('London', 'london', '203.0.113.20', 'LHR'),
      nearest('Manchester', 'manchester', '203.0.113.20', 'LHR'),
      nearest('New York', 'newyork', '203.0.113.30', 'IAD'),
      nearest('Toronto', 'toronto', '203.0.113.30', 'IAD'),
      nearest('Vancouver', 'vancouver', '203.0.113.30', 'IAD'),
      nearest('Mexico City', 'mexico', '203.0.113.30', 'IAD'),
    ],
  },
  {
    title: 'A bank with an allowlist',
    config: SHIPPED_CONFIG,
    steps: [
      bank('alice, of Finance', 'alice@example.com;family=4:lab-alice', '200 from 203.0.113.20'),
      bank('bob, who is not', 'bob@example.com;family=4:lab-bob', '403 from 203.0.113.10'),
    ],
  },
  {
    title: 'A payroll that only encrypted devices reach',
    config: SHIPPED_CONFIG,
    steps: [
      payroll("bob's encrypted laptop", 'bob@example.com;family=4:lab-bob', '200 from 203.0.113.30'),
      payroll("carol's, which is not", 'carol@example.com;family=4:lab-carol', '403 from 203.0.113.40'),
    ],
  },
  {
    title: 'Switching the virtual network moves the user',
    config: SHIPPED_CONFIG,
    steps: [
      echoed('bob as he is', 'bob@example.com:lab-bob', '203.0.113.10'),
      echoed('bob in vnet-AMER', 'bob@example.com;vnet=vnet-AMER:lab-bob', '203.0.113.40'),
      echoed('bob in vnet-EMEA', 'bob@example.com;vnet=vnet-EMEA:lab-bob', '203.0.113.20'),
      landing('search page as bob is', 'bob@example.com;family=4:lab-bob', 'page for NL'),
      landing('search page in vnet-AMER', 'bob@example.com;family=4;vnet=vnet-AMER:lab-bob', 'page for US'),
    ],
  },
  {
    title: 'A user in Las Vegas, primary at LAX [E5]',
    config: 'config/tour/las-vegas.yaml',
    steps: [
      located('espn.com', 4, 'physical LAX, seen in Los Angeles'),
      located('cloudflare.com', 4, 'physical LAS, seen in Los Angeles'),
      located('espn.com', 6, 'physical LAS, seen in Los Angeles'),
      located('cloudflare.com', 6, 'physical LAS, seen in Los Angeles'),
    ],
  },
  {
    title: "The primary's data center is down [E1]",
    config: 'config/tour/primary-down.yaml',
    steps: [
      down('a dedicated IP as fallback', 'with-fallback', 'ipv4', 'dedicated-fallback 203.0.113.30'),
      down('0.0.0.0 as fallback', 'with-shared-fallback', 'ipv4', 'default 198.18.0.0/16'),
      down('no fallback', 'without-fallback', 'ipv4', 'refused 503 destination_ip_unroutable'),
      down('no fallback, IPv6 [E4]', 'without-fallback', 'ipv6', 'dedicated 2001:db8:20::/64'),
    ],
  },
  {
    title: 'The documented verification',
    config: SHIPPED_CONFIG,
    steps: [
      echoed('carol asks the IPv4 echo', 'carol@example.com:lab-carol', '203.0.113.40'),
      {
        scenario: 'carol asks the IPv6 echo',
        login: 'carol@example.com:lab-carol',
        url: 'http://ipv6.icanhazip.com/',
        expected: '2001:db8:40::/64',
        see: (answer) => network(answer.body.trim()),
      },
      {
        scenario: 'carol with a wrong password',
        login: 'carol@example.com:wrong',
        url: 'http://ipv4.icanhazip.com/',
        expected: 'refused 407',
        see: refusal,
      },
    ],
  },
]

function nearest(city: string, user: string, address: string, colo: string): Step {
  return {
    scenario: `from ${city}`,
    login: `${user}@example.com:lab`,
    url: 'http://ipv4.icanhazip.com/json',
    expected: `${address} at ${colo}`,
    see: (answer) => facts(answer, ({ address, lab }) => `${address} at ${lab.physical_colo}`),
  }
}

function bank(scenario: string, login: string, expected: string): Step {
  return allowlisted(scenario, login, 'http://bank.saas.test/', expected)
}

function payroll(scenario: string, login: string, expected: string): Step {
  return allowlisted(scenario, login, 'http://payroll.saas.test/', expected)
}

function allowlisted(scenario: string, login: string, url: string, expected: string): Step {
  const see = (answer: CurlAnswer) => facts(answer, ({ address }) => `${answer.status} from ${address}`)
  return { scenario, login, url, accept: 'application/json', expected, see }
}

function echoed(scenario: string, login: string, expected: string): Step {
  return { scenario, login, url: 'http://ipv4.icanhazip.com/', expected, see: (answer) => answer.body.trim() }
}

function landing(scenario: string, login: string, expected: string): Step {
  const see = (answer: CurlAnswer) => facts(answer, ({ country }) => `page for ${country}`)
  return { scenario, login, url: 'http://search.saas.test/', accept: 'application/json', expected, see }
}

function located(host: string, family: 4 | 6, expected: string): Step {
  return {
    scenario: `${host} over IPv${family}`,
    login: `vegas@example.com;family=${family}:lab`,
    url: `http://${host}/`,
    accept: 'application/json',
    expected,
    see: (answer) =>
      facts(answer, ({ lab, geolocation }) => `physical ${lab.physical_colo}, seen in ${geolocation?.city}`),
  }
}

function down(scenario: string, vnet: string, echo: 'ipv4' | 'ipv6', expected: string): Step {
  return {
    scenario,
    login: `alice@example.com;vnet=${vnet}:lab`,
    url: `http://${echo}.icanhazip.com/json`,
    expected,
    see: (answer) => facts(answer, ({ lab, address }) => `${lab.outcome} ${network(address)}`),
  }
}

/** What test origins say in JSON, as far as the tour reads it. */
interface Facts {
  readonly address: string
  readonly geolocation: { readonly city?: string } | null
  readonly country?: string
  readonly lab: { readonly outcome: string; readonly physical_colo: string; readonly reason: string }
}

/** The facts an origin answered with, in one's own words; a refusal by the proxy as such. */
function facts(answer: CurlAnswer, tell: (facts: Facts) => string): string {
  const read = originFacts(answer)
  return read === undefined ? refusal(answer) : tell(read)
}

/** `undefined` for an answer that does not come from a test origin. */
export function originFacts(answer: CurlAnswer): Facts | undefined {
  try {
    const read: Facts = JSON.parse(answer.body)
    return typeof read.lab?.reason === 'string' ? read : undefined
  } catch {
    return undefined
  }
}

function refusal({ exit, status, headers, complaint }: CurlAnswer): string {
  if (status === 0) return `curl gave up (${exit}): ${complaint}`
  const error = /\berror=([\w-]+)/.exec(headers.get('proxy-status') ?? '')?.[1]
  return ['refused', status, error].filter((part) => part !== undefined).join(' ')
}

/** Ranges of which the tour expects some address, not a certain one. */
const RANGES = ['198.18.0.0/16', '2001:db8:10::/64', '2001:db8:20::/64', '2001:db8:40::/64'].map(cidr)

function network(address: string): string {
  const parsed = parseIp(address)
  return RANGES.find((range) => parsed !== undefined && containsIp(range, parsed))?.text ?? address
}
