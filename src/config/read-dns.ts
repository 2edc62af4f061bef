// Section dns: where Gateway DNS listens, whom it answers, and whom it asks.

import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { ip } from '../net/ip.ts'
import type { DnsSettings } from './lab-config.ts'
import type { Reading } from './reading.ts'

const LOOPBACK: readonly Cidr[] = [cidr('127.0.0.0/8'), cidr('::1')]

/** Undefined where the section is absent. */
export function readDns({ raw, problems }: Reading): DnsSettings | undefined {
  if (raw.dns === undefined) return undefined
  const { upstream } = raw.dns
  const listen = raw.dns.listen.map(endpointOf)
  const clients = raw.dns.clients.map((text) => cidr(text))
  for (const [at, endpoint] of listen.entries()) {
    const shown = formatEndpoint(endpoint)
    if (!LOOPBACK.some((network) => containsIp(network, endpoint.ip)) && clients.length === 0) {
      const message = `\`${shown}\` can be reached from other machines, and nobody there is answered`
      problems.add(['dns', 'listen', at], 'config.missing_key', message, {
        hint: 'name the networks that may ask in `clients`, or listen on a loopback address',
      })
    }
    const asked = (upstream ?? []).indexOf(shown)
    if (asked >= 0) {
      const message = `\`${shown}\` is Gateway DNS itself: its questions would come back to it`
      problems.add(['dns', 'upstream', asked], 'config.conflict', message)
    }
    const taken = [raw.api, ...raw.listeners].find(
      ({ host, port }) => port !== 0 && port === endpoint.port && ip(host).text === endpoint.ip.text,
    )
    if (taken !== undefined) {
      const message = `port ${endpoint.port} of \`${endpoint.ip.text}\` is taken by the API or a listener`
      problems.add(['dns', 'listen', at], 'config.duplicate', message, { hint: 'give Gateway DNS another port' })
    }
  }
  return Object.freeze({ listen, clients, ...(upstream === undefined ? {} : { upstream }) })
}

/** Like `127.0.0.1:8053` or `[::1]:8053`; the schema has seen to it. */
function endpointOf(text: string): Endpoint {
  const colon = text.lastIndexOf(':')
  return Object.freeze({ ip: ip(text.slice(0, colon).replace(/^\[|\]$/g, '')), port: Number(text.slice(colon + 1)) })
}
