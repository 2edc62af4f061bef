// Ids for things configured without one: the same name gives the same id at every start, on every machine.

import { createHash } from 'node:crypto'

const NAMESPACE = Buffer.from('5d0f6f1c8f5b4f0f9a3d0c6a4be2e6f1', 'hex')

/** UUID version 5 (RFC 9562 section 5.5) of a kind and a name. */
export function stableUuid(kind: string, name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(`${kind}:${name}`).digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** 32 hex digits, the form of Cloudflare's account ids; joined, so that it is a flat string (net/ip.ts). */
export function stableAccountId(name: string): string {
  return stableUuid('account', name).split('-').join('')
}

/** A short host label like those of Cloudflare's proxy endpoints: ten lower-case letters and digits. */
export function stableLabel(kind: string, name: string): string {
  return BigInt(`0x${stableUuid(kind, name).replaceAll('-', '')}`)
    .toString(36)
    .padStart(10, '0')
    .slice(-10)
}
