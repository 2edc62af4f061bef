// The names the lab knows without asking anybody: destinations of the configuration, localhost, the machine's hosts file; and those
// that are never asked for. One book for the proxy and for Gateway DNS, so that both give the same answer.

import { readFile } from 'node:fs/promises'
import type { Destination, DestinationAddress } from '../config/lab-config.ts'
import { parseHost } from '../net/host.ts'
import { type Ip, ip, parseIp, unmapIp } from '../net/ip.ts'

/** A public address, and what the configuration says about it. */
export interface AddressEntry {
  readonly ip: Ip
  readonly mapped?: Mapped
}

export interface Mapped {
  readonly destination: Destination
  readonly address: DestinationAddress
}

export interface AddressBook {
  /** All addresses of a name; `never`: it has none, and DNS is not to be asked for it; undefined: ask DNS. */
  addressesOf(name: string): readonly AddressEntry[] | 'never' | undefined
  /** The address with what the configuration says about it. */
  withMapping(address: Ip): AddressEntry
}

const LOOPBACK = Object.freeze([ip('::1'), ip('127.0.0.1')])

/** RFC 6761 sections 6.2, 6.4 and 6.5; RFC 7686. */
const RESERVED: ReadonlySet<string> = new Set(['test', 'invalid', 'example', 'onion'])

/** A book over these destinations and this hosts file. */
export function createAddressBook(destinations: readonly Destination[], hosts: HostsFile): AddressBook {
  const byName = new Map<string, readonly Mapped[]>()
  const byAddress = new Map<string, Mapped>()
  for (const destination of destinations) {
    const mapped = destination.addresses.map((address) => ({ destination, address }))
    if (destination.name !== undefined) byName.set(destination.name.toLowerCase(), mapped)
    for (const each of mapped)
      if (!byAddress.has(each.address.public.text)) byAddress.set(each.address.public.text, each)
  }

  function withMapping(address: Ip): AddressEntry {
    const mapped = byAddress.get(address.text)
    return mapped === undefined ? { ip: address } : { ip: address, mapped }
  }

  return {
    withMapping,
    addressesOf(name) {
      const configured = byName.get(name)
      if (configured !== undefined) return configured.map((mapped) => ({ ip: mapped.address.public, mapped }))
      // RFC 6761 section 6.3
      if (name === 'localhost' || name.endsWith('.localhost')) return LOOPBACK.map(withMapping)
      const inHostsFile = hosts.get(name)
      if (inHostsFile !== undefined) return inHostsFile.map(withMapping)
      return isReserved(name) ? 'never' : undefined
    },
  }
}

/** Top-level names that no public server knows and none is to be asked for: a mistyped name of the lab fails at once and
 *  stays on this machine. */
function isReserved(name: string): boolean {
  return RESERVED.has(name.slice(name.lastIndexOf('.') + 1))
}

export type HostsFile = ReadonlyMap<string, readonly Ip[]>

/** Names (normalised) with all their addresses, in the order of the file. Lines with a zone id are passed over. */
export function parseHostsFile(text: string): HostsFile {
  const hosts = new Map<string, Ip[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const ip = parseIp(address)
    if (ip === undefined) continue
    for (const name of names) {
      const host = parseHost(name)
      if (host?.kind === 'name') hosts.set(host.name, [...(hosts.get(host.name) ?? []), unmapIp(ip)])
    }
  }
  return hosts
}

/** The file at `path`; empty where there is none or it cannot be read. */
export async function readHostsFile(path = '/etc/hosts'): Promise<HostsFile> {
  return parseHostsFile(await readFile(path, 'utf8').catch(() => ''))
}
