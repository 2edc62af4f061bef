// The one buffer that all connections read into, so that an idle one owns none, and spare buffers for what a peer does not take at
// once (docs/decisions/0005-reading-from-sockets.md has the measurements).

/** One read at most; also what a tunnel holds in this process while its sink is stalled (TU-09). */
export const READ_BYTES = 256 * 1024
/** What fits into Node's pool of small buffers is copied there. */
const SMALL_BYTES = 4 * 1024
const MAX_SPARE_BUFFERS = 16

/** Every read lands here and is used or copied before the next one. It cannot be given away: Node fixes the buffer of a
 *  connection's next read right after the previous one. */
export const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)
/** The same for sockets, which copy what they read and keep it until somebody takes it: Node's own measure. */
export const socketReadBuffer = readBuffer.subarray(0, 64 * 1024)
const spareBuffers: Buffer[] = []

/** A copy of bytes that are valid during a call only, at most {@link READ_BYTES}; see {@link giveBack}. */
export function keep(bytes: Buffer): Buffer {
  const { length } = bytes
  if (length <= SMALL_BYTES) {
    const copy = Buffer.allocUnsafe(length)
    bytes.copy(copy, 0, 0, length)
    return copy
  }
  const spare = spareBuffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES)
  bytes.copy(spare, 0, 0, length)
  return spare.subarray(0, length)
}

/** Takes back what {@link keep} gave, once nobody needs it any more. */
export function giveBack({ buffer, byteLength }: Buffer): void {
  if (byteLength <= SMALL_BYTES || spareBuffers.length >= MAX_SPARE_BUFFERS) return
  spareBuffers.push(Buffer.from(buffer, 0, READ_BYTES))
}
