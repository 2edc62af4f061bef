// Issues certificates: a development authority and the leaf that all test origins share (RFC 5280). Touches no file;
// loaded only when something is issued, so that an ordinary start does not pay for it.

import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

/** Certificate and private key, both PEM (the key PKCS #8). */
export interface CertifiedKey {
  readonly certificate: string
  readonly key: string
}

const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3650
/** browsers refuse leaves that are valid for more than 398 days */
const LEAF_DAYS = 365
/** tolerated difference of clocks */
const SKEW_DAYS = 1

const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** A self-signed authority that may sign leaves only. `now` is epoch ms; `name` says whose it is. */
export async function issueAuthority(now: number, name = 'egresslab development CA'): Promise<CertifiedKey> {
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name} ${new Date(now).toISOString().slice(0, 10)}, O=egresslab`,
    keys,
    signingAlgorithm: KEY,
    ...validity(now, AUTHORITY_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return certified(certificate, keys)
}

/** A server certificate for these host names and addresses, signed by the authority. `now` is epoch ms. */
export function issueLeaf(authority: CertifiedKey, names: readonly string[], now: number): Promise<CertifiedKey> {
  const alternatives = names.map((name) => ({
    type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const),
    value: name,
  }))
  return issue(authority, { subject: 'egresslab test origins', purposes: ['serverAuth'], alternatives, now })
}

/** A client certificate for the user with this email, signed by the authority. `now` is epoch ms. */
export function issueClientCertificate(authority: CertifiedKey, email: string, now: number): Promise<CertifiedKey> {
  const alternatives = [{ type: 'email' as const, value: email }]
  return issue(authority, { subject: 'egresslab client', purposes: ['clientAuth'], alternatives, now })
}

/** The certificate of a member of a fleet, which is server and client of the others, for its host name. `now` is epoch ms. */
export function issueMemberCertificate(authority: CertifiedKey, host: string, now: number): Promise<CertifiedKey> {
  const alternatives = [{ type: 'dns' as const, value: host }]
  return issue(authority, { subject: 'egresslab member', purposes: ['serverAuth', 'clientAuth'], alternatives, now })
}

interface Leaf {
  readonly subject: string
  readonly purposes: readonly ('serverAuth' | 'clientAuth')[]
  readonly alternatives: { readonly type: 'dns' | 'ip' | 'email'; readonly value: string }[]
  readonly now: number
}

async function issue(authority: CertifiedKey, { subject, purposes, alternatives, now }: Leaf): Promise<CertifiedKey> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${subject}, O=egresslab`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: KEY,
    ...validity(now, LEAF_DAYS),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(purposes.map((purpose) => x509.ExtendedKeyUsage[purpose])),
      new x509.SubjectAlternativeNameExtension(alternatives),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return certified(certificate, keys)
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const [der = new ArrayBuffer(0)] = x509.PemConverter.decode(pem)
  return webcrypto.subtle.importKey('pkcs8', der, KEY, false, ['sign'])
}

function validity(now: number, days: number) {
  return { notBefore: new Date(now - SKEW_DAYS * DAY_MS), notAfter: new Date(now + (days - SKEW_DAYS) * DAY_MS) }
}

async function certified(certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair): Promise<CertifiedKey> {
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { certificate: `${certificate.toString('pem')}\n`, key: `${key}\n` }
}
