// The certificates at a TLS listener. The server's own: a certificate and key provided by the user, read and checked before
// anything is served with them (TL-01), with all problems reported at once. The client's: the identity in it (RFC 5280,
// TL-06), examined in every handshake, since a resumed session keeps its old certificate, which may have expired; others
// decide whether that user is admitted.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { statSync } from 'node:fs'
import { readWholeFile } from '../config/files.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { ClientCertificate } from '../proxy/arrival.ts'
import type { CertifiedKey } from './issue-certificates.ts'

export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

const OTHERS = 0o007
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Reads the pair. `now`: epoch ms, by the real clock. Throws InputError if a file cannot be read or is not PEM, if
 *  the key belongs to another certificate or is readable by everybody, or if the certificate is not valid at the
 *  time. */
export function readServerCertificate(files: CertificateFiles, now: number): CertifiedKey {
  const issues: Issue[] = []
  const certificate = readText(files.certificate, issues)
  const key = readText(files.key, issues)
  const parsed = certificate === undefined ? undefined : parseFirst(certificate, files.certificate, issues)
  const privateKey = key === undefined ? undefined : parseKey(key, files.key, issues)
  if (parsed !== undefined) checkTime(parsed, files.certificate, now, issues)
  if (parsed !== undefined && privateKey !== undefined && !parsed.checkPrivateKey(privateKey)) {
    issues.push(problem('tls.wrong_key', files.key, `the key \`${files.key}\` is not that of \`${files.certificate}\``))
  }
  if (certificate === undefined || key === undefined || issues.length > 0) throw new InputError(issues)
  return { certificate, key }
}

/** The authorities in a PEM file, as text. Throws InputError if it cannot be read or contains none. */
export function readAuthorities(file: string): string {
  const issues: Issue[] = []
  const text = readText(file, issues)
  if (text !== undefined && parseFirst(text, file, issues)?.ca === false) {
    issues.push(problem('tls.no_authority', file, `\`${file}\` is not the certificate of a certificate authority`))
  }
  if (text === undefined || issues.length > 0) throw new InputError(issues)
  return text
}

function readText(file: string, issues: Issue[]): string | undefined {
  try {
    return readWholeFile(file).toString('utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    const why = code === 'ENOENT' ? 'there is no such file' : `the system says ${code}`
    issues.push(problem('tls.file_unreadable', file, `cannot read \`${file}\`: ${why}`))
    return undefined
  }
}

function parseFirst(text: string, file: string, issues: Issue[]): X509Certificate | undefined {
  const found = text.match(CERTIFICATE) ?? []
  try {
    const [first] = found.map((pem) => new X509Certificate(pem))
    if (first !== undefined) return first
  } catch {
    // the error is the same for a block that cannot be decoded and for no block at all
  }
  issues.push(problem('tls.no_certificate', file, `\`${file}\` contains no certificate in PEM form`))
  return undefined
}

function parseKey(text: string, file: string, issues: Issue[]): KeyObject | undefined {
  const mode = statSync(file).mode & 0o777
  if (process.platform !== 'win32' && (mode & OTHERS) !== 0) {
    const message = `the private key \`${file}\` is open to everybody (mode ${mode.toString(8)})`
    issues.push({ ...problem('tls.key_exposed', file, message), hint: `run \`chmod o= ${file}\`` })
  }
  try {
    return createPrivateKey(text)
  } catch {
    issues.push(problem('tls.no_key', file, `\`${file}\` contains no private key in PEM form without a passphrase`))
    return undefined
  }
}

function checkTime(certificate: X509Certificate, file: string, now: number, issues: Issue[]): void {
  const { validFromDate, validToDate } = certificate
  if (now > validToDate.getTime()) {
    issues.push(problem('tls.expired', file, `the certificate \`${file}\` expired on ${day(validToDate)}`))
  } else if (now < validFromDate.getTime()) {
    issues.push(
      problem('tls.not_yet_valid', file, `the certificate \`${file}\` is not valid before ${day(validFromDate)}`),
    )
  }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}

function problem(code: string, file: string, message: string): Issue {
  return { severity: 'error', code, message, file }
}

export interface ClientCertificateFacts {
  /** why the authority has not signed it, as OpenSSL names it; undefined if it has */
  readonly problem: string | undefined
  /** upper-case hex without leading zeros */
  readonly revoked: ReadonlySet<string>
  /** epoch ms, by the real clock */
  readonly now: number
}

/** The email in the alternative names, else a common name that is one. `now`: epoch ms. */
export function examineClientCertificate(
  certificate: X509Certificate,
  { problem, revoked, now }: ClientCertificateFacts,
): ClientCertificate {
  if (now > certificate.validToDate.getTime()) return refused('has expired')
  if (now < certificate.validFromDate.getTime()) return refused('is not valid yet')
  if (problem !== undefined) return refused(`is not signed by the listener's authority (${problem})`)
  if (revoked.has(certificate.serialNumber.toUpperCase().replace(/^0+(?=.)/, ''))) return refused('is revoked')
  const email = emailOf(certificate)
  return email === undefined ? refused('has no email address') : { kind: 'trusted', email: canonicalEmail(email) }
}

/** OpenSSL prints names that it escapes in quotes; those are not emails. */
function emailOf({ subjectAltName = '', subject }: X509Certificate): string | undefined {
  const alternatives = [...subjectAltName.matchAll(/(?:^|, )email:([^\s,"]+@[^\s,"]+)/g)].flatMap(
    ([, name]) => name ?? [],
  )
  if (alternatives.length > 0) return alternatives.length === 1 ? alternatives[0] : undefined
  return /^CN=([^\s,"+\\]+@[^\s,"+\\]+)$/m.exec(subject)?.[1]
}

function refused(problem: string): ClientCertificate {
  return { kind: 'refused', problem }
}
