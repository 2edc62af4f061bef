// HPACK, the receiving side (RFC 7541): header blocks into fields, with the dynamic table of one connection. Every field is judged once, when
// it is read; one that comes from a table brings its verdict along, so that a block of references costs no more than its bytes.

import { fieldDefect, type Http2Defect } from './field-defect.ts'
import { decodeHuffman, HpackError, STATIC_TABLE } from './hpack-tables.ts'

/** Name and value in Latin-1, and what is wrong with them. */
export interface DecodedField {
  readonly name: string
  readonly value: string
  readonly defect: Http2Defect | undefined
}

/** What an entry costs beside its text (RFC 7541 section 4.1). */
const ENTRY_OVERHEAD = 32
/** No integer of a sound block is larger: lengths and indexes of blocks of some 100 KB. */
const MAX_INTEGER = 2 ** 24
const STATIC_FIELDS = STATIC_TABLE.map(([name, value]) => makeField(name, value))

function makeField(name: string, value: string): DecodedField {
  return { name, value, defect: fieldDefect(name, value) }
}

/** Decodes the header blocks of one connection, in the order they arrive. Throws HpackError where a block breaks
 *  the compression (RFC 7541), which ends the connection. */
export class HpackDecoder {
  readonly #limit: number
  /** as the sender has it, at most {@link #limit} */
  #maxBytes: number
  /** the newest last */
  readonly #entries: DecodedField[] = []
  #bytes = 0
  #block: Buffer = Buffer.alloc(0)
  #at = 0

  /** `limit`: SETTINGS_HEADER_TABLE_SIZE as announced, bytes */
  constructor(limit: number) {
    this.#limit = limit
    this.#maxBytes = limit
  }

  /** bytes of the dynamic table, as RFC 7541 section 4.1 counts them */
  get tableBytes(): number {
    return this.#bytes
  }

  /** Reads a complete header block and hands out its fields in order. Throws HpackError; the decoder is of no use then. */
  decode(block: Buffer, take: (field: DecodedField) => void): void {
    this.#block = block
    this.#at = 0
    let hasFields = false
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0
      if ((first & 0xe0) === 0x20) {
        if (hasFields) throw new HpackError('the size of the table changes in the middle of a block')
        this.#resize(this.#integer(5))
        continue
      }
      hasFields = true
      if (first >= 0x80) take(this.#lookUp(this.#integer(7)))
      else if (first >= 0x40) take(this.#add(this.#literal(6)))
      else take(this.#literal(4))
    }
  }

  #literal(prefixBits: number): DecodedField {
    const index = this.#integer(prefixBits)
    const name = index === 0 ? this.#text() : this.#lookUp(index).name
    return makeField(name, this.#text())
  }

  #lookUp(index: number): DecodedField {
    const isStatic = index <= STATIC_FIELDS.length
    const field = isStatic ? STATIC_FIELDS[index - 1] : this.#entries.at(STATIC_FIELDS.length - index)
    if (field === undefined) throw new HpackError('a field refers to an entry that is not there')
    return field
  }

  /** An entry that is larger than the whole table empties it and is not kept (RFC 7541 section 4.4). */
  #add(field: DecodedField): DecodedField {
    const bytes = sizeOf(field)
    this.#evictTo(this.#maxBytes - bytes)
    if (bytes <= this.#maxBytes) {
      this.#entries.push(field)
      this.#bytes += bytes
    }
    return field
  }

  #resize(maxBytes: number): void {
    if (maxBytes > this.#limit) throw new HpackError('the table is to grow beyond what was announced')
    this.#maxBytes = maxBytes
    this.#evictTo(maxBytes)
  }

  #evictTo(maxBytes: number): void {
    let evicted = 0
    while (this.#bytes > maxBytes && evicted < this.#entries.length) {
      const oldest = this.#entries[evicted++]
      if (oldest !== undefined) this.#bytes -= sizeOf(oldest)
    }
    if (evicted > 0) this.#entries.splice(0, evicted)
  }

  /** RFC 7541 section 5.1 */
  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1
    let value = this.#byte() & mask
    if (value < mask) return value
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** shift
      if (value > MAX_INTEGER || shift > 28) throw new HpackError('an integer is too large')
      if (byte < 0x80) return value
    }
  }

  #text(): string {
    const isHuffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0
    const length = this.#integer(7)
    const end = this.#at + length
    if (end > this.#block.length) throw new HpackError('a string is longer than its block')
    const bytes = this.#block.subarray(this.#at, end)
    this.#at = end
    return isHuffman ? decodeHuffman(bytes) : bytes.toString('latin1')
  }

  #byte(): number {
    const byte = this.#block[this.#at++]
    if (byte === undefined) throw new HpackError('a block ends in the middle of a field')
    return byte
  }
}

function sizeOf({ name, value }: DecodedField): number {
  return name.length + value.length + ENTRY_OVERHEAD
}
