// Names of the reverse tree as addresses (RFC 1035 section 3.5, RFC 3596 section 2.5), so that `dig -x` says what a placeholder is for.

import { type Ip, parseIp } from '../net/ip.ts'

/** `1.0.80.100.in-addr.arpa` → 100.80.0.1; undefined for anything but the name of one whole address. */
export function addressInReverse(name: string): Ip | undefined {
  const lower = name.toLowerCase()
  const [, octets] = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(lower) ?? []
  if (octets !== undefined) return parseIp(octets.split('.').slice(0, 4).reverse().join('.'))
  const [, nibbles] = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(lower) ?? []
  if (nibbles === undefined) return undefined
  const digits = nibbles.split('.').slice(0, 32).reverse().join('')
  return parseIp(digits.replace(/(.{4})(?=.)/g, '$1:'))
}
