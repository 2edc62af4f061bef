// A lab that presents its user's own certificate: read anew when the files change, kept when they are not good (TL-01).

import { writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { connectTls, file, NAMES, testTls } from '../support/tls.ts'

function configuration(certificate: string, key: string): string {
  return file(
    'lab.yaml',
    `dedicated_ips: []\nlisteners:\n  - { name: own, user: a@example.com, tls: { certificate: ${certificate}, key: ${key} } }\nusers: [{ email: a@example.com }]\ndestinations: []\n`,
  )
}

test('new files are presented without a restart, bad ones change nothing, and clients that are connected stay', async () => {
  const { leaf } = await testTls()
  const certificate = file('own.pem', leaf.certificate)
  const key = file('own-key.pem', leaf.key)
  const { lab, said, close } = await startPrivateLab({ configFile: configuration(certificate, key) })
  onTestFinished(close)
  const port = lab.listeners[0]?.port ?? 0
  const before = await connectTls(port)

  const other = await issueAuthority(Date.now())
  const next = await issueLeaf(other, NAMES, Date.now())
  writeFileSync(certificate, next.certificate)
  await expect.poll(said).toContain('the listener `own` keeps its certificate: the key')
  expect((await connectTls(port)).authorized).toBe(true)

  writeFileSync(key, next.key)
  await expect.poll(said).toContain('the listener `own` now uses its new certificate')
  expect((await connectTls(port, { ca: other.certificate })).authorized).toBe(true)
  expect(before.destroyed).toBe(false)
})

test('a start with a bad certificate says all that is wrong and leaves nothing open', async () => {
  const { leaf, authority } = await testTls()
  const configFile = configuration(file('own.pem', leaf.certificate), file('own-key.pem', authority.key))
  const start = startPrivateLab({ configFile })
  await expect(start).rejects.toBeInstanceOf(InputError)
  await expect(start).rejects.toThrow(/the key `.*own-key\.pem` is not that of `.*own\.pem`/)
})
