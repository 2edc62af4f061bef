// Writes small MaxMind DB files (format 2.0) for tests: real bytes in any record layout, because no GeoLite2 file may be
// shipped. Knows only what the tests need: maps, strings, doubles, unsigned integers; nothing is shared or compressed.

import { type Cidr, cidr } from '../../src/net/cidr.ts'

export type MmdbValue = string | number | { readonly [key: string]: MmdbValue }

export interface MmdbContents {
  readonly type: string
  readonly ipVersion: 4 | 6
  /** prefix → record; in a file of version 6, IPv4 prefixes lie under ::/96 as the format says */
  readonly records: Readonly<Record<string, MmdbValue>>
}

interface Node {
  readonly children: [Branch, Branch]
}
type Branch = Node | { readonly data: number } | undefined

/** The bytes of a database file. */
export function mmdb(contents: MmdbContents): Buffer {
  const root: Node = { children: [undefined, undefined] }
  const data: Buffer[] = []
  let dataSize = 0
  for (const [prefix, record] of Object.entries(contents.records)) {
    const encoded = encode(record)
    insert(root, bitsOf(cidr(prefix), contents.ipVersion), { data: dataSize })
    data.push(encoded)
    dataSize += encoded.length
  }
  const nodes = flatten(root)
  const tree = Buffer.alloc(nodes.length * 8)
  nodes.forEach((node, at) => {
    node.children.forEach((branch, side) => {
      tree.writeUInt32BE(pointer(branch, nodes), at * 8 + side * 4)
    })
  })
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_780_000_000,
    database_type: contents.type,
    ip_version: contents.ipVersion,
    node_count: nodes.length,
    record_size: 32,
  })
  const marker = Buffer.from('abcdef4d61784d696e642e636f6d', 'hex')
  return Buffer.concat([tree, Buffer.alloc(16), ...data, marker, metadata])
}

function insert(root: Node, bits: readonly (0 | 1)[], leaf: { readonly data: number }): void {
  let node = root
  for (const bit of bits.slice(0, -1)) {
    const next = node.children[bit]
    if (next !== undefined && 'data' in next) throw new RangeError('prefixes of a test database may not overlap')
    const child: Node = next ?? { children: [undefined, undefined] }
    node.children[bit] = child
    node = child
  }
  node.children[bits.at(-1) ?? 0] = leaf
}

function bitsOf(prefix: Cidr, ipVersion: 4 | 6): readonly (0 | 1)[] {
  const padding = prefix.family === 4 && ipVersion === 6 ? 96 : 0
  const words = prefix.base.words.map((word) => word.toString(2).padStart(32, '0')).join('')
  return [...'0'.repeat(padding), ...words.slice(0, prefix.length)].map((bit) => (bit === '1' ? 1 : 0))
}

function flatten(root: Node): readonly Node[] {
  const nodes = [root]
  for (const node of nodes) {
    for (const branch of node.children) if (branch !== undefined && 'children' in branch) nodes.push(branch)
  }
  return nodes
}

function pointer(branch: Branch, nodes: readonly Node[]): number {
  if (branch === undefined) return nodes.length
  return 'data' in branch ? nodes.length + 16 + branch.data : nodes.indexOf(branch)
}

function encode(value: MmdbValue): Buffer {
  if (typeof value === 'string') return typed(2, Buffer.from(value))
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? unsigned(value) : double(value)
  const entries = Object.entries(value)
  return Buffer.concat([header(7, entries.length), ...entries.flatMap(([key, item]) => [encode(key), encode(item)])])
}

function unsigned(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return typed(6, bytes)
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return typed(3, bytes)
}

function typed(type: number, payload: Buffer): Buffer {
  return Buffer.concat([header(type, payload.length), payload])
}

function header(type: number, size: number): Buffer {
  if (size < 29) return Buffer.from([(type << 5) | size])
  if (size < 285) return Buffer.from([(type << 5) | 29, size - 29])
  return Buffer.from([(type << 5) | 30, (size - 285) >> 8, (size - 285) & 255])
}
