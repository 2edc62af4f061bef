// The account's dedicated IPs as a geofeed, the file by which address owners tell geo databases where addresses are
// (RFC 8805, [G3]). Says where they belong, whether or not other databases know it yet ([G2]).

import type { Account } from './account.ts'

/** One line per address and range, `prefix,country,region,city,postal code`, sorted as configured; ends in a line feed. */
export function geofeed(account: Pick<Account, 'name' | 'dedicatedIps'>): string {
  const lines = account.dedicatedIps.flatMap(({ ipv4, ipv6, geolocation }) => {
    const { country = '', city = '' } = geolocation
    const prefixes = [ipv4 === undefined ? undefined : `${ipv4.address.text}/32`, ipv6?.range.text]
    return prefixes.filter((prefix) => prefix !== undefined).map((prefix) => `${prefix},${country},,${csv(city)},`)
  })
  return ['# dedicated egress IPs (RFC 8805)', ...lines, ''].join('\n')
}

/** RFC 4180: quoted where it has to be. */
function csv(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
