// Certificates that users bring: what is wrong with them is said at the start, never found out by their clients (TL-01).

import { chmodSync } from 'node:fs'
import { expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'
import { readAuthorities, readServerCertificate } from '../../src/tls/listener-certificates.ts'
import { file, NAMES } from '../support/tls.ts'

const DAY_MS = 86_400_000
const NOW = Date.now()
const authority = await issueAuthority(NOW)
const leaf = await issueLeaf(authority, NAMES, NOW)

function problemsOf(read: () => unknown): string[] {
  try {
    read()
    return []
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues.map(({ code }) => code)
    throw thrown
  }
}

function pair(certificate = leaf.certificate, key = leaf.key) {
  return { certificate: file('proxy.pem', certificate), key: file('proxy-key.pem', key) }
}

test('a good pair is read as it is, with the certificates between it and its authority', () => {
  const chain = leaf.certificate + authority.certificate
  expect(readServerCertificate(pair(chain), NOW)).toEqual({ certificate: chain, key: leaf.key })
})

test.each([
  ['the key of another certificate', () => pair(leaf.certificate, authority.key), ['tls.wrong_key']],
  ['no certificate', () => pair('nothing'), ['tls.no_certificate']],
  ['half a certificate', () => pair(leaf.certificate.replace('MII', 'XXX')), ['tls.no_certificate']],
  ['no key', () => pair(leaf.certificate, 'nothing'), ['tls.no_key']],
  ['a certificate in place of the key', () => pair(leaf.certificate, leaf.certificate), ['tls.no_key']],
  [
    'files that are not there',
    () => ({ certificate: '/none/a', key: '/none/b' }),
    Array(2).fill('tls.file_unreadable'),
  ],
])('%s is refused', (_what, files, codes) => {
  expect(problemsOf(() => readServerCertificate(files(), NOW))).toEqual(codes)
})

test('one that has run out, or is not valid yet, is refused with the day', () => {
  const files = pair()
  expect(() => readServerCertificate(files, NOW + 400 * DAY_MS)).toThrow(/expired on \d{4}-\d\d-\d\d/)
  expect(() => readServerCertificate(files, NOW - 10 * DAY_MS)).toThrow(/is not valid before \d{4}-\d\d-\d\d/)
})

test('a key that everybody can read is refused, with the command that mends it', () => {
  const files = pair()
  chmodSync(files.key, 0o644)
  expect(problemsOf(() => readServerCertificate(files, NOW))).toEqual(['tls.key_exposed'])
  chmodSync(files.key, 0o640)
  expect(problemsOf(() => readServerCertificate(files, NOW))).toEqual([])
})

test('authorities for client certificates have to be authorities', () => {
  expect(readAuthorities(file('ca.pem', authority.certificate))).toBe(authority.certificate)
  expect(problemsOf(() => readAuthorities(file('ca.pem', leaf.certificate)))).toEqual(['tls.no_authority'])
})
