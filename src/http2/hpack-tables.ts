// What RFC 7541 prints of HPACK: the Huffman code (section 5.2 and appendix B) and the static table (appendix A). The code
// is canonical, so the lengths say all of it.

/** Bits of the code of each byte 0 to 255, and of EOS (256). */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
]

const EOS = 256
const MIN_BITS = 5
const MAX_BITS = 30

/** Per length: the first code, how many there are, and where their symbols begin in `symbols`. */
const FIRST = new Int32Array(MAX_BITS + 1)
const COUNT = new Int32Array(MAX_BITS + 1)
const START = new Int32Array(MAX_BITS + 1)
const SYMBOLS = LENGTHS.map((_, symbol) => symbol).sort((a, b) => bitsOf(a) - bitsOf(b) || a - b)

for (const bits of LENGTHS) COUNT[bits] = (COUNT[bits] ?? 0) + 1
for (let bits = 1, code = 0, start = 0; bits <= MAX_BITS; bits++) {
  code *= 2
  FIRST[bits] = code
  START[bits] = start
  code += COUNT[bits] ?? 0
  start += COUNT[bits] ?? 0
}

function bitsOf(symbol: number): number {
  return LENGTHS[symbol] ?? 0
}

/** The text, one character per byte, Latin-1. Throws HpackError for EOS in the text and for padding that is not a beginning of EOS
 *  shorter than a byte (RFC 7541 section 5.2). */
export function decodeHuffman(bytes: Uint8Array): string {
  // no code is shorter than five bits
  const text = Buffer.allocUnsafe(Math.floor((bytes.length * 8) / MIN_BITS))
  let length = 0
  let code = 0
  let bits = 0
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1)
      bits++
      const place = code - (FIRST[bits] ?? 0)
      if (bits < MIN_BITS || place >= (COUNT[bits] ?? 0)) continue
      const symbol = SYMBOLS[(START[bits] ?? 0) + place] ?? EOS
      if (symbol === EOS) throw new HpackError('a string holds the end-of-string symbol')
      text[length++] = symbol
      code = 0
      bits = 0
    }
  }
  if (bits > 7 || code !== (1 << bits) - 1)
    throw new HpackError('a string is not padded with ones to the end of its byte')
  return text.toString('latin1', 0, length)
}

/** A block that cannot be decoded. The connection has lost its compression state (RFC 9113 section 4.3, COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}

/** Name and value of index 1 and up. */
export const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
]
