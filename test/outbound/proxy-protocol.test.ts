// PROXY protocol towards destinations that want it (PP-01, outwards): nginx of Debian reads it and shows the public egress
// address, although a stand-in is what really connects.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { formatProxyHeader } from '../../src/outbound/tcp-dialer.ts'
import type { Candidate } from '../../src/proxy/stage-values.ts'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { curl } from '../support/curl.ts'
import { installed } from '../support/installed.ts'
import { loopback } from '../support/own-network.ts'
import { RawClient } from '../support/raw-client.ts'
import { ALICE, BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

/** A public address whose origin on loopback wants the header. */
function wantsHeader(address: string, port: number, host = '127.0.0.1'): Candidate {
  const dial = { ip: ip(host), port }
  return { destination: { ip: ip(address), port: 443 }, dial, proxiedByCloudflare: false, proxyProtocol: 'v2' }
}

test('PP-01 version 2, IPv4: the bytes of the specification', () => {
  const header = formatProxyHeader({ ip: ip('203.0.113.10'), port: 4660 }, { ip: ip('198.51.100.1'), port: 443 })
  expect(header.toString('hex')).toBe('0d0a0d0a000d0a515549540a2111000ccb00710ac6336401123401bb')
})

test('PP-01 version 2, IPv6: the bytes of the specification', () => {
  const header = formatProxyHeader({ ip: ip('2001:db8:10::1'), port: 4660 }, { ip: ip('2001:db8:f00::1'), port: 80 })
  expect(header.toString('hex')).toBe(
    '0d0a0d0a000d0a515549540a2121002420010db8001000000000000000000001' +
      '20010db80f0000000000000000000001' +
      '12340050',
  )
})

test('PP-01 the header is in front of the first byte, once per connection, with the dedicated address and the real port', async () => {
  const { server, port } = await listen((socket) => socket.on('data', (data) => socket.write(data)))
  const ports: (number | undefined)[] = []
  server.on('connection', (socket) => ports.push(socket.remotePort))
  const listener = { authentication: 'anonymous' as const, fixedUser: ALICE }
  const gateway = await startGateway({ listener, resolve: () => [wantsHeader('198.51.100.1', port)] })
  const client = await RawClient.connect(gateway.port)
  await client.send('CONNECT o.test:443 HTTP/1.1\r\nHost: o.test:443\r\n\r\n').text('\r\n\r\n')
  await client.send('one').text('one')
  await client.send('two').text('onetwo')
  const expected = formatProxyHeader(
    { ip: ip('203.0.113.20'), port: ports[0] ?? 0 },
    { ip: ip('198.51.100.1'), port: 443 },
  )
  expect(client.received.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(`${expected.toString('latin1')}onetwo`)
})

test('destinations that did not ask for it get none', async () => {
  const origin = await byteLogOrigin()
  const gateway = await startGateway()
  const proxy = ['-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`]
  await curl(...proxy, `http://o.test:${origin.port}/`)
  expect(origin.received.startsWith('GET / HTTP/1.1\r\n')).toBe(true)
})

const nginx = installed('nginx', 'nginx-light')

describe.skipIf(nginx === undefined)('nginx behind the lab', () => {
  test.each([
    ['IPv4, absolute form', '198.51.100.1', [], /^203\.0\.113\.20$/],
    ['IPv4, CONNECT', '198.51.100.1', ['-p'], /^203\.0\.113\.20$/],
    ['IPv6: the user’s own address in the range', '2001:db8:f00::1', [], /^2001:db8:20:0:/],
  ] as const)(
    'PP-01 %s: $proxy_protocol_addr is the public egress address',
    async (_name, address, options, expected) => {
      const { host, port, log } = await startNginx(nginx ?? '')
      const gateway = await startGateway({ resolve: () => [wantsHeader(address, port, host)] })
      const proxy = [...options, '-x', `http://127.0.0.1:${gateway.port}`, '-U', `${ALICE}:${PASSWORD}`]
      const answer = await curl(...proxy, 'http://o.test/', 'http://o.test/again')

      const [record] = await gateway.recorded(1)
      const [first, second] = answer.body.trim().split('\n')
      expect(first).toMatch(expected)
      expect(second).toBe(first)
      expect(first).toBe(record?.EgressIP)
      expect(log().split('\n')[0]).toBe(`${record?.EgressIP} ${record?.EgressPort} ${address} 443 GET / HTTP/1.1`)
    },
  )
})

interface Nginx {
  readonly host: string
  readonly port: number
  readonly log: () => string
}

/** Answers with the address that the PROXY protocol told, and logs what else it told. */
async function startNginx(program: string): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'))
  const host = loopback(78)
  const port = 9080
  const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr notice;
events {}
http {
  ${bodies.join(' ')}
  log_format told '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $request';
  access_log ${folder}/access.log told;
  server { listen ${host}:${port} proxy_protocol; location / { return 200 "$proxy_protocol_addr\\n"; } }
}
`,
  )
  const child = spawn(program, ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(async () => {
    child.kill()
    await gone
    rmSync(folder, { recursive: true, force: true })
  })
  const gone = once(child, 'exit')
  const ready = new Promise<void>((resolve) => {
    // read to the end: a closed pipe would end nginx at its next word
    child.stderr.on('data', (text) => {
      if (String(text).includes('event method')) resolve()
    })
  })
  await Promise.race([ready, gone])
  return { host, port, log: () => readFileSync(join(folder, 'access.log'), 'utf8') }
}
