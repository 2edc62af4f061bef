// One message of a fleet's log: what it says, its bytes, and the proof that a member of the fleet wrote it. Every message carries the
// certificate of its author and a signature with the key to it, so that whoever may write to NATS is not thereby a member.

import { createHash, createPrivateKey, type KeyObject, sign, verify, X509Certificate } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { FleetSettings } from '../config/lab-config.ts'
import type { JournalRow, RowChange } from '../store/journal.ts'
import { readAuthorities, readServerCertificate } from '../tls/listener-certificates.ts'

/** What this version writes; it reads no later one. */
export const LOG_FORMAT = 1

/** A member as the log knows it. */
export interface MemberEntry {
  readonly name: string
  /** names one start of it */
  readonly incarnation: string
  readonly colo: string
  /** `198.51.100.1:8443` */
  readonly advertise: string
  /** of egresslab */
  readonly version: string
  /** it takes no new connections */
  readonly drained: boolean
}

/** What a message does: `open` begins a log, `adopt` replaces what the configuration files say; both give the whole state. */
export type LogAct =
  | { readonly type: 'open' | 'adopt'; readonly share: FleetSettings['share']; readonly rows: readonly JournalRow[] }
  | { readonly type: 'join'; readonly entry: MemberEntry }
  | { readonly type: 'change'; readonly changes: readonly RowChange[] }
  | { readonly type: 'drain'; readonly member: string; readonly drained: boolean }
  | { readonly type: 'leave'; readonly member: string }

/** Everything there is after a message, for those who begin there. */
export interface WholeFleet {
  readonly share: FleetSettings['share']
  readonly members: readonly MemberEntry[]
  readonly rows: readonly JournalRow[]
}

/** What members prove to each other that they wrote it. */
export interface Signed {
  /** the member that wrote it */
  readonly by: string
}

export interface LogMessage extends Signed {
  readonly format: number
  readonly id: string
  readonly version: string
  /** epoch ms of its machine */
  readonly at: number
  /** the place in the stream that it was written for */
  readonly revision: number
  /** {@link chainAfter} the message before it; '' for the first */
  readonly before: string
  readonly act: LogAct
  readonly whole?: WholeFleet
}

/** A message as it is sent. */
export interface SealedMessage {
  readonly bytes: Uint8Array
  readonly signature: string
  /** DER, base64 */
  readonly certificate: string
}

/** Names everything up to here, so that two histories cannot be taken for one. */
export function chainAfter(before: string, bytes: Uint8Array): string {
  return createHash('sha256').update(before).update(bytes).digest('base64url')
}

const COMPRESSED_FROM = 16 * 1024
const GZIP = 0x1f
/** of a message once it is inflated */
const MOST_BYTES = 256 * 1024 * 1024

/** The host name in a member's certificate. */
export function memberHost(fleet: string, member: string): string {
  return `${member}.${fleet}.fleet.egresslab.internal`
}

/** What a member proves itself by, to the log and on links. */
export class FleetIdentity {
  readonly fleet: string
  readonly member: string
  /** PEM */
  readonly authority: string
  readonly certificate: string
  readonly key: string
  readonly #authority: X509Certificate
  readonly #key: KeyObject
  readonly #der: string

  /** Throws InputError for files that cannot be used, and `fleet.foreign_certificate` for those of another fleet or member. */
  constructor(
    { name, member, authorityFile, files }: Pick<FleetSettings, 'name' | 'member' | 'authorityFile' | 'files'>,
    now: number,
  ) {
    this.fleet = name
    this.member = member
    this.authority = readAuthorities(authorityFile)
    const { certificate, key } = readServerCertificate(files, now)
    this.certificate = certificate
    this.key = key
    this.#authority = new X509Certificate(this.authority)
    this.#key = createPrivateKey(key)
    this.#der = new X509Certificate(certificate).raw.toString('base64')
  }

  /** The member whose certificate this is; undefined: it is of no member of this fleet. */
  memberOf(certificate: X509Certificate): string | undefined {
    if (!certificate.checkIssued(this.#authority) || !certificate.verify(this.#authority.publicKey)) return undefined
    const suffix = memberHost(this.fleet, '')
    const hosts = (certificate.subjectAltName ?? '').split(', ').map((name) => name.replace(/^DNS:/, ''))
    return hosts.find((host) => host.endsWith(suffix))?.slice(0, -suffix.length)
  }

  /** The member that the own certificate is for. */
  ownName(): string | undefined {
    return this.memberOf(new X509Certificate(this.certificate))
  }

  /** `by` is this member. */
  seal<T extends Signed>(message: T): SealedMessage {
    const text = Buffer.from(JSON.stringify(message))
    const bytes = text.length < COMPRESSED_FROM ? text : gzipSync(text)
    return { bytes, signature: sign('sha256', bytes, this.#key).toString('base64'), certificate: this.#der }
  }

  /** Undefined: no member of this fleet wrote it, or not so. */
  open<T extends Signed>({ bytes, signature, certificate }: SealedMessage): T | undefined {
    try {
      const author = new X509Certificate(Buffer.from(certificate, 'base64'))
      const member = this.memberOf(author)
      if (member === undefined) return undefined
      if (!verify('sha256', bytes, author.publicKey, Buffer.from(signature, 'base64'))) return undefined
      const text = bytes[0] === GZIP ? gunzipSync(bytes, { maxOutputLength: MOST_BYTES }) : Buffer.from(bytes)
      const message = JSON.parse(text.toString('utf8')) as T
      return message.by === member ? message : undefined
    } catch {
      return undefined
    }
  }
}
