// The one way a header block can fail to be read.

/** A block that cannot be decoded. The connection has lost its compression state (RFC 9113 section 4.3, COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}
