// UD-10: a QUIC connection that carries HTTP/3 passes through an association. ngtcp2's client and server come from Debian and
// know nothing of SOCKS, so a shim stands between the client and the proxy.

import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'
import { installed } from '../support/installed.ts'
import { loopback } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { BOB, candidate, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { UdpClient } from '../support/udp.ts'
import { udpShim } from '../support/udp-shim.ts'

const client = installed('gtlsclient', 'ngtcp2-client')
const server = installed('gtlsserver', 'ngtcp2-server')

interface Http3Origin {
  readonly host: string
  readonly port: number
  /** what the server said of itself so far */
  readonly log: () => string
}

/** Serves a folder over HTTP/3 until the test ends. */
async function http3Origin(program: string, folder: string): Promise<Http3Origin> {
  const authority = await issueAuthority(Date.now())
  const leaf = await issueLeaf(authority, ['o.test'], Date.now())
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  writeFileSync(key, leaf.key)
  writeFileSync(certificate, leaf.certificate)
  const host = loopback(80)
  const port = 4433
  const quiet = ['--no-quic-dump', '--no-http-dump']
  const child = spawn(program, [...quiet, '-d', join(folder, 'www'), host, String(port), key, certificate])
  onTestFinished(() => {
    child.kill()
  })
  let log = ''
  child.stdout.on('data', (text) => {
    log += text
  })
  child.stderr.on('data', (text) => {
    log += text
  })
  await Promise.race([once(child.stderr, 'data'), once(child.stdout, 'data')])
  return { host, port, log: () => log }
}

test.skipIf(client === undefined || server === undefined)(
  'UD-10 an HTTP/3 download of a megabyte arrives whole, the QUIC server sees the decided address, and it is one flow',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'http3-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    for (const name of ['www', 'got']) mkdirSync(join(folder, name))
    const body = randomBytes(1024 * 1024)
    writeFileSync(join(folder, 'www', 'body.bin'), body)
    const origin = await http3Origin(server ?? '', folder)
    const there = candidate({ ip: ip('198.51.100.1'), port: origin.port }, origin.host)
    const gateway = await startGateway({ udp: {}, resolve: () => [there] })
    const association = await UdpClient.associate(gateway.port, { login: [BOB, PASSWORD] })
    const shim = await udpShim(association, 'o.test', origin.port)

    const options = ['-q', '--exit-on-all-streams-close', `--download=${join(folder, 'got')}`]
    const at = ['127.0.0.1', String(shim), `https://o.test:${origin.port}/body.bin`]
    await promisify(execFile)(client ?? '', [...options, ...at], { timeout: PATIENCE_MS })

    expect(readFileSync(join(folder, 'got', 'body.bin')).equals(body)).toBe(true)
    expect(origin.log()).toContain(`remote=[${EGRESS[BOB]?.bound}]`)
    expect(origin.log()).not.toContain('remote=[127.0.0.1]')
    association.control.socket.end()
    const [record] = await gateway.recorded(1)
    expect(record).toMatchObject({ Protocol: 'UDP', EgressIP: EGRESS[BOB]?.public, ResolvedFQDN: 'o.test' })
    expect(record?.BytesReceived).toBeGreaterThan(body.length)
    expect(gateway.records).toHaveLength(1)
  },
)
