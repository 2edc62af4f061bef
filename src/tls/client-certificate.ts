// What a client's certificate says of who it is (RFC 5280, TL-06). Whether that person may come in is decided elsewhere. Asked in
// every handshake: a resumed session brings its old certificate along, and may have outlived it.

import type { X509Certificate } from 'node:crypto'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { ClientCertificate } from '../proxy/arrival.ts'

export interface ClientCertificateFacts {
  /** why it is not signed by the authority, as OpenSSL names it; undefined: it is */
  readonly problem: string | undefined
  /** upper-case hex without leading zeros */
  readonly revoked: ReadonlySet<string>
  /** epoch ms, by the real clock */
  readonly now: number
}

/** The mail address in the alternative names, else a common name that is one. */
export function examineClientCertificate(
  certificate: X509Certificate,
  { problem, revoked, now }: ClientCertificateFacts,
): ClientCertificate {
  if (now > certificate.validToDate.getTime()) return refused('has run out')
  if (now < certificate.validFromDate.getTime()) return refused('is not valid yet')
  if (problem !== undefined) return refused(`is not signed by the listener's authority (${problem})`)
  if (revoked.has(certificate.serialNumber.toUpperCase().replace(/^0+(?=.)/, ''))) return refused('is revoked')
  const email = emailOf(certificate)
  return email === undefined ? refused('has no mail address') : { kind: 'trusted', email: canonicalEmail(email) }
}

/** OpenSSL prints names of its own escaping in quotes; those are nobody's address. */
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
