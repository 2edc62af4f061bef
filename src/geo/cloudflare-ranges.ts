// Which destinations sit behind Cloudflare ("orange-clouded", [E5]): its published ranges, kept as facts with their date
// in cloudflare-ranges.json, and whatever the configuration adds. Never fetched at run time.

import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import ranges from './cloudflare-ranges.json' with { type: 'json' }

const published: Readonly<Record<Family, readonly Cidr[]>> = {
  4: ranges.ipv4.map(cidr),
  6: ranges.ipv6.map(cidr),
}

/** Is the address in Cloudflare's published ranges, or in one of `further` ([E5])? */
export function isProxiedByCloudflare(address: Ip, further: readonly Cidr[] = []): boolean {
  const holds = (range: Cidr) => containsIp(range, address)
  return published[address.family].some(holds) || further.some(holds)
}
