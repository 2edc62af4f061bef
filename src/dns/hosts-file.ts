// The machine's hosts file: names that DNS does not know, read once at start. Anything that is not `address name …` is passed over.

import { readFile } from 'node:fs/promises'
import { parseHost } from '../net/host.ts'
import { type Ip, parseIp, unmapIp } from '../net/ip.ts'

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
