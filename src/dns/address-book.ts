// Names that resolve without DNS: destinations of the configuration, localhost, the machine's hosts file; and names
// that are never sent to DNS. The proxy and Gateway DNS share one book, so that both give the same answer.

import { readFile } from 'node:fs/promises'
import type { Destination, DestinationAddress } from '../config/lab-config.ts'
import { parseHost } from '../net/host.ts'
import { type Ip, ip, parseIp, unmapIp } from '../net/ip.ts'

/** A public address with its entry in the configuration. */
export interface AddressEntry {
  readonly ip: Ip
  readonly mapped?: Mapped
}

export interface Mapped {
  readonly destination: Destination
  readonly address: DestinationAddress
}

export interface AddressBook {
  /** All addresses of a name; `never`: it has none and must not be sent to DNS; undefined: ask DNS. */
  addressesOf(name: string): readonly AddressEntry[] | 'never' | undefined
  /** The address with its entry in the configuration. */
  withMapping(address: Ip): AddressEntry
}

const LOOPBACK = Object.freeze([ip('::1'), ip('127.0.0.1')])

/** RFC 6761 sections 6.2, 6.4 and 6.5; RFC 7686. */
const RESERVED: ReadonlySet<string> = new Set(['test', 'invalid', 'example', 'onion'])

/** Creates a book of these destinations and this hosts file. */
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

/** Top-level names that exist on no public server and are never sent to one: a mistyped name of the lab fails at
 *  once and stays on this machine. */
function isReserved(name: string): boolean {
  return RESERVED.has(name.slice(name.lastIndexOf('.') + 1))
}

export type HostsFile = ReadonlyMap<string, readonly Ip[]>

/** Names (normalised) with all their addresses, in the order of the file. Lines with a zone id are skipped. */
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

/** Reads the file at `path`; empty if it does not exist or cannot be read. */
export async function readHostsFile(path = '/etc/hosts'): Promise<HostsFile> {
  return parseHostsFile(await readFile(path, 'utf8').catch(() => ''))
}
