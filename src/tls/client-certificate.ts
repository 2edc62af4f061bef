// The identity in a client's certificate (RFC 5280, TL-06). Others decide whether that user is admitted. Examined in
// every handshake: a resumed session keeps its old certificate, which may have expired.

import type { X509Certificate } from 'node:crypto'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { ClientCertificate } from '../proxy/arrival.ts'

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
