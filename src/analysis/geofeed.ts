// The account's dedicated IPs as a geofeed for operators of geolocation databases ([G3], RFC 8805). Shared addresses
// are not the account's to announce.

import { compareIp, type Ip } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import type { Place } from '../policy/place.ts'

/** The feed: one line per IPv4 address and IPv6 range, `prefix,country,region,city,postal code`, with line feeds
 *  (RFC 8805 section 2.1). Region and postal code are left empty. */
export function formatGeofeed({ name, dedicatedIps }: Pick<Account, 'name' | 'dedicatedIps'>): string {
  const entries = dedicatedIps.flatMap(({ ipv4, ipv6, geolocation }) => [
    ...(ipv4 === undefined ? [] : [entry(ipv4.address, `${ipv4.address.text}/32`, geolocation)]),
    ...(ipv6 === undefined ? [] : [entry(ipv6.range.base, ipv6.range.text, geolocation)]),
  ])
  entries.sort((a, b) => compareIp(a.base, b.base))
  return `${[`# Geofeed (RFC 8805) of ${name.replaceAll(/\s+/g, ' ')}`, ...entries.map(({ line }) => line)].join('\n')}\n`
}

function entry(base: Ip, prefix: string, { country = '', city = '' }: Place): { base: Ip; line: string } {
  return { base, line: [prefix, country, '', quoted(city), ''].join(',') }
}

/** RFC 4180 section 2: fields with commas, quotes or line breaks are quoted. */
function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}
