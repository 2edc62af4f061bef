// Real proxies in front of a lab, with TLS and a name: nginx and HAProxy of Debian, each with a file like those of docs/team.md.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { type CertifiedKey, issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'
import { PATIENT } from './patience.ts'

/** the name in the browser's address */
export const NAME = 'tools.corp.example'

export interface Front {
  readonly port: number
  close(): Promise<void>
}

export interface FrontFiles {
  readonly folder: string
  readonly certificate: string
  readonly key: string
  /** certificate and key in one, as HAProxy wants them */
  readonly both: string
  /** command line switches by which Chromium finds the front under its name, and believes its certificate */
  readonly switches: (port: number) => readonly string[]
  readonly leaf: CertifiedKey
  readonly authority: CertifiedKey
}

/** A certificate for the name, in files. */
export async function frontFiles(): Promise<FrontFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'front-'))
  const authority = await issueAuthority(Date.now())
  const leaf = await issueLeaf(authority, [NAME, 'localhost'], Date.now())
  const [certificate, key, both] = ['cert.pem', 'key.pem', 'both.pem'].map((name) => join(folder, name))
  writeFileSync(certificate ?? '', leaf.certificate)
  writeFileSync(key ?? '', leaf.key, { mode: 0o600 })
  writeFileSync(both ?? '', leaf.certificate + leaf.key, { mode: 0o600 })
  const pin = createHash('sha256')
    .update(new X509Certificate(leaf.certificate).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')
  const switches = (port: number) => [
    `--host-resolver-rules=MAP ${NAME}:443 127.0.0.1:${port}, MAP ${NAME}:80 127.0.0.1:${port + 1}`,
    `--ignore-certificate-errors-spki-list=${pin}`,
  ]
  return { folder, certificate: certificate ?? '', key: key ?? '', both: both ?? '', switches, leaf, authority }
}

/** nginx with these servers; the port is that of one of them. */
export function startNginx(program: string, { folder }: FrontFiles, port: number, servers: string): Promise<Front> {
  const own = mkdtempSync(join(folder, 'nginx-'))
  const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own}/${name};`)
  const text = `daemon off; master_process off; pid ${own}/pid; error_log stderr notice;
events {}
http {
  ${bodies.join(' ')}
  access_log off;
${servers}
}
`
  writeFileSync(join(own, 'nginx.conf'), text)
  return started(
    spawn(program, ['-p', own, '-c', join(own, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] }),
    port,
  )
}

export function startHaproxy(program: string, { folder }: FrontFiles, port: number, text: string): Promise<Front> {
  const file = join(mkdtempSync(join(folder, 'haproxy-')), 'haproxy.cfg')
  writeFileSync(file, text)
  return started(spawn(program, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] }), port)
}

async function started(child: ChildProcess, port: number): Promise<Front> {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = once(child, 'exit')
  await vi.waitFor(async () => {
    if (child.exitCode !== null) throw new Error(said)
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
  }, PATIENT)
  return {
    port,
    close: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}
