// Looks at the frames a client sends before nghttp2 does, and sees to it that a malformed request is treated as one (RFC 9113 section
// 8.1.1). nghttp2 drops a field it finds unsound and goes on with the rest, and ends the whole connection for a body longer than its
// content-length. What it always answers with RST_STREAM and PROTOCOL_ERROR, on that stream alone, is a connection-specific field: where
// a request is malformed, this puts one in, and nghttp2 does the rest (header tables, flow control, frames that still come).

import type { Http2Defect } from './field-defect.ts'
import { type DecodedField, HpackDecoder } from './hpack-decoder.ts'
import { HpackError } from './hpack-tables.ts'

// frames as they are on the wire (RFC 9113 sections 4.1 and 6)
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const HEAD_BYTES = 9

const DATA = 0x0
export const HEADERS = 0x1
const RST_STREAM = 0x3
const PUSH_PROMISE = 0x5
const CONTINUATION = 0x9

const END_STREAM = 0x1
const END_HEADERS = 0x4
const PADDED = 0x8
const PRIORITY = 0x20

/** Sizes that are announced in SETTINGS, bytes. */
export interface AnnouncedSizes {
  readonly headerTableSize: number
  readonly maxFrameSize: number
}

/** A stream whose request is malformed. */
export interface MalformedStream {
  readonly streamId: number
  /** its first header block is at fault: no other program hears of the stream */
  readonly isNew: boolean
  /** for a new one */
  readonly isConnect: boolean
  readonly defect: Http2Defect
}

export interface InspectorEvents {
  /** Called before the frame at fault is handed out. */
  onMalformed(stream: MalformedStream): void
  /** The connection has broken the framing or the compression: the frame at fault is handed out, and nothing behind it. */
  onBroken(): void
}

interface OpenBlock {
  readonly streamId: number
  readonly endsStream: boolean
  readonly fragments: Buffer[]
  continuations: number
}

/** nghttp2's limit; more of them end the connection. */
const MAX_CONTINUATIONS = 8
/** Streams with a content-length that are counted at one time; of more, nghttp2 counts the oldest. */
const MAX_COUNTED = 256
/** `connection: x`, a literal without indexing */
const REFUSED_FIELD = Buffer.from('\x00\x0aconnection\x01x', 'latin1')

/** Inspects one connection: takes the client's bytes as they come, and gives what nghttp2 is to read in their
 *  place. */
export class RequestInspector {
  readonly #sizes: AnnouncedSizes
  readonly #events: InspectorEvents
  readonly #decoder: HpackDecoder
  /** bytes of body that are still to come, by stream */
  readonly #lengths = new Map<number, number>()
  #lastStream = 0
  #block: OpenBlock | undefined
  #isOpening = true
  /** of the present frame, to be handed out unseen */
  #passing = 0
  #isLastFrame = false
  #isOver = false
  /** the beginning of a frame that cannot be judged yet */
  #held: Buffer | undefined
  #bytes: Buffer = Buffer.alloc(0)
  /** what comes before has been judged */
  #at = 0
  /** what comes before has been handed out */
  #from = 0
  #out: Buffer[] = []

  constructor(sizes: AnnouncedSizes, events: InspectorEvents) {
    this.#sizes = sizes
    this.#events = events
    this.#decoder = new HpackDecoder(sizes.headerTableSize)
  }

  /** Takes what the client sent and answers what nghttp2 is to see of it, in order, without copying where nothing is put in. Keeps at
   *  most one frame of header fields and one header block. Whatever happens, it does not throw for what a client sends. */
  inspect(chunk: Buffer): readonly Buffer[] {
    if (this.#isOver) return []
    this.#bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = undefined
    this.#at = 0
    this.#from = 0
    let isUnderstood = true
    while (isUnderstood && !this.#isOver && this.#at < this.#bytes.length) {
      isUnderstood = this.#passing > 0 ? this.#pass() : this.#isOpening ? this.#readPreface() : this.#readFrame()
    }
    this.#flush()
    // a copy, so that a few bytes do not keep the whole chunk
    if (!this.#isOver && this.#at < this.#bytes.length) this.#held = Buffer.from(this.#bytes.subarray(this.#at))
    this.#bytes = chunk.subarray(0, 0)
    const ready = this.#out
    this.#out = []
    return ready
  }

  /** The stream is closed. */
  forget(streamId: number): void {
    this.#lengths.delete(streamId)
  }

  #pass(): boolean {
    const passed = Math.min(this.#passing, this.#bytes.length - this.#at)
    this.#at += passed
    this.#passing -= passed
    if (this.#passing === 0 && this.#isLastFrame) this.#isOver = true
    return true
  }

  /** Anything else is no HTTP/2, and nghttp2 says so. */
  #readPreface(): boolean {
    const length = Math.min(PREFACE.length, this.#bytes.length)
    if (PREFACE.compare(this.#bytes, 0, length, 0, length) !== 0) {
      this.#at = this.#bytes.length
      this.#isOver = true
      this.#events.onBroken()
      return true
    }
    if (length < PREFACE.length) return false
    this.#at = length
    this.#isOpening = false
    return true
  }

  /** Answers whether enough of the frame was there. */
  #readFrame(): boolean {
    const bytes = this.#bytes
    const at = this.#at
    if (bytes.length - at < HEAD_BYTES) return false
    const length = bytes.readUIntBE(at, 3)
    const type = bytes[at + 3] ?? 0
    const flags = bytes[at + 4] ?? 0
    const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff
    const isInBlock = this.#block !== undefined
    const continues = type === CONTINUATION && this.#block?.streamId === streamId
    if (length > this.#sizes.maxFrameSize || isInBlock !== (type === CONTINUATION) || isInBlock !== continues) {
      return this.#break(length)
    }
    if (type === PUSH_PROMISE) return this.#break(length)
    if (type === HEADERS || type === CONTINUATION) {
      if (bytes.length - at < HEAD_BYTES + length) return false
      return this.#readFields(type, flags, streamId, length)
    }
    if (type === DATA && this.#lengths.has(streamId)) return this.#count(flags, streamId, length)
    if (type === RST_STREAM) this.#lengths.delete(streamId)
    this.#passing = HEAD_BYTES + length
    return true
  }

  #count(flags: number, streamId: number, length: number): boolean {
    const pad = this.#at + HEAD_BYTES
    const isPadded = (flags & PADDED) !== 0 && length > 0
    if (isPadded && pad >= this.#bytes.length) return false
    const bodyBytes = isPadded ? length - 1 - (this.#bytes[pad] ?? 0) : length
    const remaining = (this.#lengths.get(streamId) ?? 0) - bodyBytes
    const defect = remaining < 0 ? TOO_LONG : endsStream(flags) && remaining > 0 ? CUT_SHORT : undefined
    if (defect !== undefined) {
      this.#flush()
      this.#out.push(makeFrame(HEADERS, END_HEADERS | END_STREAM, streamId, REFUSED_FIELD))
      this.#events.onMalformed({ streamId, isNew: false, isConnect: false, defect })
    }
    if (defect !== undefined || endsStream(flags)) this.#lengths.delete(streamId)
    else this.#lengths.set(streamId, remaining)
    this.#passing = HEAD_BYTES + length
    return true
  }

  /** A whole frame of HEADERS or CONTINUATION. */
  #readFields(type: number, flags: number, streamId: number, length: number): boolean {
    const from = this.#at + HEAD_BYTES
    const payload = this.#bytes.subarray(from, from + length)
    const fragment = type === HEADERS ? fragmentOf(flags, payload) : payload
    const block = this.#block ?? { streamId, endsStream: endsStream(flags), fragments: [], continuations: -1 }
    block.continuations++
    if (fragment === undefined || streamId % 2 === 0 || block.continuations > MAX_CONTINUATIONS) {
      return this.#break(length)
    }
    if ((flags & END_HEADERS) === 0) {
      block.fragments.push(Buffer.from(fragment))
      this.#block = block
      this.#at = from + length
      return true
    }
    this.#block = undefined
    let malformed: MalformedStream | undefined
    try {
      malformed = this.#judge(
        block,
        block.fragments.length === 0 ? fragment : Buffer.concat([...block.fragments, fragment]),
      )
    } catch (thrown) {
      if (!(thrown instanceof HpackError)) throw thrown
      return this.#break(length)
    }
    if (malformed !== undefined) {
      this.#flush()
      this.#out.push(makeFrame(type, flags & ~END_HEADERS, streamId, payload))
      this.#out.push(makeFrame(CONTINUATION, END_HEADERS, streamId, REFUSED_FIELD))
      this.#from = from + length
      this.#events.onMalformed(malformed)
    }
    this.#at = from + length
    return true
  }

  /** Throws HpackError. */
  #judge({ streamId, endsStream }: OpenBlock, bytes: Buffer): MalformedStream | undefined {
    const facts = new BlockFacts()
    this.#decoder.decode(bytes, facts.take)
    const isNew = streamId > this.#lastStream
    if (isNew) this.#lastStream = streamId
    // a content-length means nothing in CONNECT (RFC 9110 section 8.6) and in trailers
    const length = isNew ? (facts.isConnect ? undefined : facts.contentLength) : this.#lengths.get(streamId)
    this.#lengths.delete(streamId)
    const defect = facts.defect ?? (endsStream && length !== undefined && length > 0 ? CUT_SHORT : undefined)
    if (defect !== undefined) return { streamId, isNew, isConnect: facts.isConnect, defect }
    if (!endsStream && length !== undefined) this.#startCounting(streamId, length)
    return undefined
  }

  #startCounting(streamId: number, length: number): void {
    if (this.#lengths.size >= MAX_COUNTED) {
      for (const oldest of this.#lengths.keys()) {
        this.#lengths.delete(oldest)
        break
      }
    }
    this.#lengths.set(streamId, length)
  }

  /** nghttp2 ends the connection for this frame. */
  #break(length: number): boolean {
    this.#passing = HEAD_BYTES + length
    this.#isLastFrame = true
    this.#events.onBroken()
    return true
  }

  #flush(): void {
    const { length } = this.#bytes
    if (this.#from === 0 && this.#at === length) this.#out.push(this.#bytes)
    else if (this.#at > this.#from) this.#out.push(this.#bytes.subarray(this.#from, this.#at))
    this.#from = this.#at
  }
}

const TOO_LONG: Http2Defect = { defect: 'body-too-long', message: 'the body is longer than its `content-length`' }
const CUT_SHORT: Http2Defect = { defect: 'body-cut-short', message: 'the body is shorter than its `content-length`' }
const LENGTHS: Http2Defect = {
  defect: 'lengths',
  field: 'content-length',
  message: 'there is more than one `content-length`',
}

/** What matters of a header block. The first defect counts. */
class BlockFacts {
  defect: Http2Defect | undefined
  isConnect = false
  contentLength: number | undefined

  readonly take = (field: DecodedField): void => {
    this.defect ??= field.defect
    if (field.name === ':method') this.isConnect = field.value === 'CONNECT'
    if (field.name !== 'content-length') return
    if (this.contentLength !== undefined) this.defect ??= LENGTHS
    this.contentLength = Number(field.value)
  }
}

function endsStream(flags: number): boolean {
  return (flags & END_STREAM) !== 0
}

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
