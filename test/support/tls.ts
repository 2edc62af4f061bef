// Certificates for tests of TLS between client and proxy: an authority, a leaf for loopback, clients' own. Made once per test file.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { TlsMaterial, TlsSource } from '../../src/inbound/tls/tls-termination.ts'
import {
  type CertifiedKey,
  issueAuthority,
  issueClientCertificate,
  issueLeaf,
} from '../../src/tls/issue-certificates.ts'
import { examineClientCertificate } from '../../src/tls/listener-certificates.ts'

export const NAMES = ['localhost', '127.0.0.1']

export interface TestTls {
  readonly authority: CertifiedKey
  readonly leaf: CertifiedKey
  /** PEM file of the authority, for curl */
  readonly authorityFile: string
}

let made: Promise<TestTls> | undefined

export function testTls(): Promise<TestTls> {
  made ??= (async () => {
    const authority = await issueAuthority(Date.now())
    const leaf = await issueLeaf(authority, NAMES, Date.now())
    return { authority, leaf, authorityFile: file('ca.pem', authority.certificate) }
  })()
  return made
}

/** A file of its own with this text. */
export function file(name: string, text: string, mode = 0o600): string {
  const path = join(mkdtempSync(join(tmpdir(), 'tls-')), name)
  writeFileSync(path, text, { mode })
  return path
}

/** A client certificate as a file that curl takes: certificate and key. */
export async function clientFile(authority: CertifiedKey, email: string): Promise<string> {
  const { certificate, key } = await issueClientCertificate(authority, email, Date.now())
  return file('client.pem', certificate + key)
}

export interface TestSource extends TlsSource {
  replace(material: TlsMaterial): void
}

/** What a gateway presents; asks for client certificates where `revoked` is given, even empty. */
export async function tlsSource(options: { readonly revoked?: readonly string[] } = {}): Promise<TestSource> {
  const { leaf, authority } = await testTls()
  const { revoked } = options
  let material: TlsMaterial = revoked === undefined ? leaf : { ...leaf, clientAuthority: authority.certificate }
  const listeners: ((material: TlsMaterial) => void)[] = []
  return {
    current: () => material,
    onChange: (listener) => listeners.push(listener),
    replace(next) {
      material = next
      for (const tell of listeners) tell(next)
    },
    ...(revoked === undefined
      ? {}
      : {
          examine: (certificate, problem) =>
            examineClientCertificate(certificate, { problem, revoked: new Set(revoked), now: Date.now() }),
        }),
  }
}

/** A TLS connection to the proxy that trusts the test authority, destroyed when the test ends. */
export async function connectTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { authority } = await testTls()
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: authority.certificate,
    allowHalfOpen: true,
    ...options,
  } as ConnectionOptions)
  onTestFinished(() => {
    socket.destroy()
  })
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  socket.on('error', () => {})
  return socket
}
