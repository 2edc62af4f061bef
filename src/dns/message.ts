// DNS messages of Gateway DNS: parses queries and writes replies (RFC 1035, 6891, 8914). dns-packet encodes the
// records; header and question are echoed byte for byte. Decides nothing about names.

import { type Answer, decode, encode, type PacketOpt } from 'dns-packet'
import { parseHost } from '../net/host.ts'
import { type Ip, parseIp } from '../net/ip.ts'

/** RFC 1035 section 4.1.1, RFC 6891 section 9. */
export const RCODE = Object.freeze({
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  missing: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
})

/** Record types (IANA) that are handled specially. */
export const TYPE = Object.freeze({ A: 1, PTR: 12, AAAA: 28, SVCB: 64, HTTPS: 65, IXFR: 251, AXFR: 252, ANY: 255 })

/** RFC 8914 section 4. */
export const EDE = Object.freeze({
  other: 0,
  prohibited: 18,
  notSupported: 21,
  noReachableAuthority: 22,
  networkError: 23,
})

/** A query has one question and a few options; anything longer is refused. */
export const MAX_QUERY_BYTES = 4_096
const HEADER_BYTES = 12
const CLASS_IN = 1
/** The largest datagram that passes everywhere unfragmented (RFC 9715 section 3.1). */
const UDP_PAYLOAD = 1_232
/** Without EDNS (RFC 1035 section 4.2.1). */
const PLAIN_UDP_PAYLOAD = 512
export const STREAM_LIMIT = 65_535

export interface DnsQuery {
  readonly message: Buffer
  /** as the client spelled it, without the trailing dot; '' if labels contain dots or other bytes that text cannot
   *  show */
  readonly name: string
  readonly type: number
  /** name, type and class as sent */
  readonly question: Buffer
  readonly edns: boolean
  /** the largest reply the client accepts in one datagram, bytes */
  readonly udpLimit: number
}

export type ReadQuery =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  | { readonly kind: 'reply'; readonly message: Buffer }
  /** not a DNS message, or a response: no reply, so that two servers never answer each other for ever */
  | { readonly kind: 'silence' }

/** The contents of a reply. `addresses` and `names` (for PTR) form the answer section. */
export interface DnsReply {
  readonly rcode: number
  readonly addresses?: readonly Ip[]
  readonly name?: string
  readonly hint?: { readonly cpu: string; readonly os: string }
  /** seconds */
  readonly ttl?: number
  readonly error?: { readonly code: number; readonly text: string }
  readonly truncated?: boolean
}

/** Parses a message; returns a reply instead if the query is one that is never resolved. */
export function readQuery(message: Buffer): ReadQuery {
  if (message.length < HEADER_BYTES || isResponse(message)) return { kind: 'silence' }
  const refuse = (rcode: number, question = Buffer.alloc(0)): ReadQuery => ({
    kind: 'reply',
    message: bareReply(message, rcode, question),
  })
  if (((message[2] ?? 0) & 0x78) !== 0) return refuse(RCODE.notImplemented)
  const question = questionOf(message)
  if (question === undefined || !hasQueryCounts(message)) return refuse(RCODE.formatError)
  const options = optionsOf(message)
  if (options === undefined) return refuse(RCODE.formatError)
  const [type, klass] = [question.readUInt16BE(question.length - 4), question.readUInt16BE(question.length - 2)]
  const { edns, name } = options
  const size = edns?.payload ?? PLAIN_UDP_PAYLOAD
  const query: DnsQuery = {
    message,
    name,
    type,
    question,
    edns: edns !== undefined,
    udpLimit: Math.min(Math.max(size, PLAIN_UDP_PAYLOAD), UDP_PAYLOAD),
  }
  if (edns !== undefined && edns.version !== 0) return replyWith(query, RCODE.badVersion)
  if (klass !== CLASS_IN) return replyWith(query, RCODE.refused, 'only class IN is supported')
  if (type === TYPE.AXFR || type === TYPE.IXFR)
    return replyWith(query, RCODE.refused, 'zone transfers are not supported')
  return { kind: 'query', query }
}

function replyWith(query: DnsQuery, rcode: number, text?: string): ReadQuery {
  const error = text === undefined ? {} : { error: { code: EDE.notSupported, text } }
  return { kind: 'reply', message: writeReply(query, { rcode, ...error }, query.udpLimit) }
}

/** The reply as bytes, at most `limit` of them: an answer that does not fit is omitted and the TC bit set. */
export function writeReply(query: DnsQuery, reply: DnsReply, limit: number): Buffer {
  const { message, question } = query
  const { rcode, truncated = false } = reply
  const records = encode({
    type: 'response',
    answers: truncated ? [] : answersOf(query, reply),
    additionals: query.edns ? [optOf(reply)] : [],
  })
  const whole = Buffer.concat([records.subarray(0, HEADER_BYTES), question, records.subarray(HEADER_BYTES)])
  writeHeader(whole, message, { rcode: rcode & 0xf, truncated })
  whole.writeUInt16BE(1, 4)
  return whole.length <= limit || truncated ? whole : writeReply(query, { ...reply, truncated: true }, limit)
}

/** Another server's reply with the id of the client's query; undefined if it does not answer that question. */
export function passOn(query: DnsQuery, reply: Buffer, limit: number): Buffer | undefined {
  if (reply.length < HEADER_BYTES || !isResponse(reply)) return undefined
  const question = questionOf(reply)
  if (question === undefined || !sameQuestion(question, query.question)) return undefined
  if (reply.length > limit) return writeReply(query, { rcode: rcodeOf(reply), truncated: true }, limit)
  const own = Buffer.from(reply)
  query.message.copy(own, 0, 0, 2)
  return own
}

/** How long a reply may be cached as a whole, in seconds (RFC 8484 section 5.1); 0 without records. */
export function lowestTtl(reply: Buffer): number {
  try {
    const ttls = (decode(reply).answers ?? []).flatMap((record) => ('ttl' in record ? [record.ttl ?? 0] : []))
    return ttls.length === 0 ? 0 : Math.min(...ttls)
  } catch {
    return 0
  }
}

/** The name a reply is about, normalised as in a target, and every address in its answer, the end of a CNAME chain too; undefined for
 *  a reply without any, or about what is no host name. */
export function addressesIn(reply: Buffer): { readonly name: string; readonly addresses: readonly Ip[] } | undefined {
  try {
    const { questions: [question] = [], answers = [] } = decode(reply)
    const host = parseHost(question?.name ?? '')
    const addresses = answers.flatMap((record) =>
      record.type === 'A' || record.type === 'AAAA' ? (parseIp(record.data) ?? []) : [],
    )
    return host?.kind !== 'name' || addresses.length === 0 ? undefined : { name: host.name, addresses }
  } catch {
    return undefined
  }
}

/** Whether a reply was truncated to fit the datagram. */
export function isTruncated(reply: Buffer): boolean {
  return ((reply[2] ?? 0) & 0x02) !== 0
}

function rcodeOf(reply: Buffer): number {
  return (reply[3] ?? 0) & 0xf
}

function isResponse(message: Buffer): boolean {
  return ((message[2] ?? 0) & 0x80) !== 0
}

/** One question, no answers; additional records are options and signatures. */
function hasQueryCounts(message: Buffer): boolean {
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => message.readUInt16BE(at))
  return questions === 1 && answers === 0 && authorities === 0 && (additionals ?? 0) <= 4
}

/** The bytes of the first question. Its name cannot be compressed, since nothing precedes it. */
function questionOf(message: Buffer): Buffer | undefined {
  let at = HEADER_BYTES
  for (let length = message[at]; length !== 0; length = message[at]) {
    if (length === undefined || length > 63) return undefined
    at += 1 + length
  }
  const end = at + 5
  return end > message.length || at - HEADER_BYTES > 254 ? undefined : message.subarray(HEADER_BYTES, end)
}

interface Options {
  readonly name: string
  readonly edns: { readonly payload: number; readonly version: number } | undefined
}

/** Undefined for a message that is malformed anywhere. */
function optionsOf(message: Buffer): Options | undefined {
  try {
    const { questions = [], additionals = [] } = decode(message)
    const [question] = questions
    const opts = additionals.filter((record) => record.type === 'OPT')
    const [opt] = opts
    const isSound = decode.bytes <= message.length && opts.length <= 1 && (opt === undefined || opt.name === '.')
    if (question === undefined || !isSound) return undefined
    const edns = opt === undefined ? undefined : { payload: opt.udpPayloadSize, version: opt.ednsVersion }
    return { name: isSpelledSo(question.name, message) ? question.name : '', edns }
  } catch {
    return undefined
  }
}

/** Whether the name as text represents the question's labels exactly. Records of any other name could not be
 *  written. */
function isSpelledSo(name: string, message: Buffer): boolean {
  const labels = encode({ questions: [{ name, type: 'A' }] }).subarray(HEADER_BYTES, -4)
  return message.subarray(HEADER_BYTES, HEADER_BYTES + labels.length).equals(labels)
}

function answersOf(query: DnsQuery, { addresses = [], name, hint, ttl = 0 }: DnsReply): Answer[] {
  const owner = query.name
  return [
    ...addresses.map(
      ({ family, text }): Answer => ({ type: family === 4 ? 'A' : 'AAAA', name: owner, data: text, ttl }),
    ),
    ...(name === undefined ? [] : [{ type: 'PTR', name: owner, data: name, ttl } as const]),
    ...(hint === undefined ? [] : [{ type: 'HINFO', name: owner, data: hint, ttl } as const]),
  ]
}

function optOf({ rcode, error }: DnsReply): Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: UDP_PAYLOAD,
    extendedRcode: rcode >> 4,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: error === undefined ? [] : [extendedError(error)],
  }
}

/** RFC 8914 section 2. The library writes options it does not know unchanged; its types list only those it knows. */
function extendedError({ code, text }: { readonly code: number; readonly text: string }): PacketOpt {
  const data = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(text, 'utf8')])
  return { code: 15, data } as unknown as PacketOpt
}

/** Only a header, and the question if it could be read. */
function bareReply(message: Buffer, rcode: number, question: Buffer): Buffer {
  const reply = Buffer.concat([Buffer.alloc(HEADER_BYTES), question])
  writeHeader(reply, message, { rcode, truncated: false })
  reply.writeUInt16BE(question.length === 0 ? 0 : 1, 4)
  return reply
}

/** Id, opcode and RD of the query; QR and RA set; never authoritative. */
function writeHeader(reply: Buffer, query: Buffer, { rcode, truncated }: { rcode: number; truncated: boolean }): void {
  query.copy(reply, 0, 0, 2)
  const [queryFlags = 0, flags = 0] = [query[2], query[3]]
  reply[2] = 0x80 | (queryFlags & 0x79) | (truncated ? 0x02 : 0)
  reply[3] = 0x80 | (flags & 0x10) | (rcode & 0xf)
}

/** Names are compared without ASCII case. */
function sameQuestion(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && a.toString('latin1').toLowerCase() === b.toString('latin1').toLowerCase()
}
