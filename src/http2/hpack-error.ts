/** A header block that cannot be decoded: the connection has lost its compression state (RFC 9113 section 4.3, COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}
