// Frames of HTTP/2 as they are on the wire (RFC 9113 sections 4.1 and 6).

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const HEAD_BYTES = 9

export const DATA = 0x0
export const HEADERS = 0x1
export const RST_STREAM = 0x3
export const PUSH_PROMISE = 0x5
export const CONTINUATION = 0x9

export const END_STREAM = 0x1
export const END_HEADERS = 0x4
export const PADDED = 0x8
export const PRIORITY = 0x20

/** A whole frame. */
export function makeFrame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
  frame.writeUIntBE(payload.length, 0, 3)
  frame[3] = type
  frame[4] = flags
  frame.writeUInt32BE(streamId, 5)
  payload.copy(frame, HEAD_BYTES)
  return frame
}

/** The header block fragment of a HEADERS frame without padding and priority; undefined where they do not fit into it. */
export function fragmentOf(flags: number, payload: Buffer): Buffer | undefined {
  const isPadded = (flags & PADDED) !== 0
  const from = (isPadded ? 1 : 0) + ((flags & PRIORITY) === 0 ? 0 : 5)
  const to = payload.length - (isPadded ? (payload[0] ?? 0) : 0)
  return from > to ? undefined : payload.subarray(from, to)
}
