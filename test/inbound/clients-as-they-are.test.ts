// What real client programs send that differs from what others do, byte for byte, and what they need to hear.

import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { udpSocket } from '../support/udp.ts'

const OPEN = { listener: { authentication: 'anonymous' as const, fixedUser: BOB } }
const LOGIN = `Proxy-Authorization: Basic ${Buffer.from(`${BOB}:${PASSWORD}`).toString('base64')}\r\n`

describe('CONNECT is decided by its target alone', () => {
  test.each([
    ['mitmproxy 8: no Host', ''],
    ['an empty Host', 'Host:\r\n'],
    ['Host of blanks', 'Host:   \r\n'],
    ['another Host', 'Host: other.test\r\n'],
  ])('%s', async (_what, host) => {
    const { port: origin } = await listen((socket) => socket.on('data', (data) => socket.write(`echo ${data}`)))
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    await client.send(`CONNECT o.test:${origin} HTTP/1.1\r\n${host}${LOGIN}\r\n`).text('\r\n\r\n')
    expect(client.received).toMatch(/^HTTP\/1\.1 200 /)
    await client.send('hello').text('echo hello')
    client.socket.resetAndDestroy()
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { target: `o.test:${origin}` } }])
  })

  test('without Host after a request that was forwarded, too', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`GET http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o.test\r\n\r\n`).text('127.0.10.10')
    await client.send(`CONNECT o.test:${origin.port} HTTP/1.1\r\n\r\n`).text('Connection established\r\n\r\n')
    client.socket.destroy()
  })

  test('two Host fields, and one that is no host, are refused', async () => {
    const gateway = await startGateway(OPEN)
    for (const host of ['Host: a.test\r\nHost: b.test\r\n', 'Host: a@b.test\r\n']) {
      const client = await RawClient.connect(gateway.port)
      await client.send(`CONNECT o.test:443 HTTP/1.1\r\n${host}\r\n`).text('code: request.malformed')
      client.socket.destroy()
    }
  })
})

describe('targets as some clients write them', () => {
  test('httpx: CONNECT to an IPv6 address without brackets is a tunnel to that address', async () => {
    const gateway = await startGateway(OPEN)
    for (const target of ['2001:db8::7:443', '2001:db8:0:0:0:0:0:7:443', '[2001:db8::7]:443']) {
      const client = await RawClient.connect(gateway.port)
      await client.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`).text('\r\n\r\n')
      client.socket.destroy()
    }
    const records = await gateway.recorded(3)
    expect(records.map(({ Lab }) => Lab.target)).toEqual(Array.from(records, () => '[2001:db8::7]:443'))
  })

  test.each([
    ['GET http://2001:db8::7:80/ HTTP/1.1', 'request.bad_authority', 'goes in brackets, `http://[2001:db8::1]:80/`'],
    ['GET http://2001:db8::7/ HTTP/1.1', 'request.bad_authority', 'goes in brackets'],
    ['CONNECT 2001:db8::g:443 HTTP/1.1', 'request.bad_authority', 'is not a `host:port`'],
    ['GET https://o.test/ HTTP/1.1', 'request.unsupported_scheme', 'use_forwarding_for_https'],
    ['GET wss://o.test/ HTTP/1.1', 'request.unsupported_scheme', 'wss:// goes through CONNECT'],
    ['GET ftp://o.test/ HTTP/1.1', 'request.unsupported_scheme', 'only http:// and ws:// are forwarded'],
  ])('%s is refused with what to change', async (line, code, lead) => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`${line}\r\nHost: o.test\r\n\r\n`).text(`code: ${code}`)
    expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
    expect(client.received).toContain(lead)
    client.socket.destroy()
  })

  test('aiohttp: GET ws://… is http that asks for an upgrade', async () => {
    const heads: string[] = []
    const { port: origin } = await listen((socket) =>
      socket.on('data', (data) => {
        if (heads.push(String(data)) > 1) socket.write(data)
        else socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      }),
    )
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    const fields =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2V5\r\n'
    await client
      .send(`GET ws://o.test:${origin}/chat?x=1 HTTP/1.1\r\nHost: o.test:${origin}\r\n${fields}\r\n`)
      .text('\r\n\r\n')
    expect(client.received).toMatch(/^HTTP\/1\.1 101 /)
    expect(heads[0]).toMatch(new RegExp(`^GET /chat\\?x=1 HTTP/1\\.1\\r\\nHost: o\\.test:${origin}\\r\\n`, 'i'))
    await client.send('frames').text('frames')
    client.socket.destroy()
  })
})

describe('a refusal of a request that expects 100 (Continue) has no body', () => {
  const post = (host: string, more = '') =>
    `POST http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n${more}\r\n`
  const unused = async () => {
    const socket = await udpSocket()
    return `o.test:${socket.port}`
  }
  test.each([
    ['407', async () => post('o.test'), 407, 'identity.required'],
    [
      '407, the second time on one connection',
      async () => `${post('o.test')}hello${post('o.test')}`,
      407,
      'identity.required',
    ],
    ['502, nobody listens', async () => post(await unused(), LOGIN), 502, 'dial.refused'],
    ['502, there is no such name', async () => post('nowhere.invalid', LOGIN), 502, 'name.not_found'],
    ['508', async () => post('o.test', 'Via: 1.1 egresslab-under-test\r\n'), 508, 'guard.loop'],
    ['417', async () => post('o.test').replace('100-continue', '200-ok'), 417, 'request.unsupported_expectation'],
  ])('%s', async (_what, bytes, status, code) => {
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    await client.send(await bytes()).end()
    const [head = '', ...rest] = client.received.split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(head).toContain(`code="${code}"`)
    expect(head).toMatch(/^content-length: 0$/im)
    expect(rest.filter((part) => part !== '' && !part.startsWith('HTTP/1.1 '))).toEqual([])
  })

  test('and has its body where nothing is expected', async () => {
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    await client.send(post('o.test').replace('Expect: 100-continue\r\n', '')).text('code: identity.required\n')
    client.socket.destroy()
  })

  const java = installed('java', 'openjdk-17-jre-headless')
  test.skipIf(java === undefined)('Java 17 hears a 407 with an expectation, and does not wait for ever', async () => {
    const gateway = await startGateway()
    const folder = mkdtempSync(join(tmpdir(), 'java-expect-'))
    const source = join(folder, 'Ask.java')
    writeFileSync(source, JAVA)
    const { stdout } = await promisify(execFile)('java', [source, String(gateway.port)], { timeout: PATIENCE_MS })
    expect(stdout.trim()).toBe('407')
  })
})

const JAVA = `
import java.net.*;
import java.net.http.*;
import java.time.Duration;
public class Ask {
  public static void main(String[] args) throws Exception {
    var proxy = ProxySelector.of(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    var client = HttpClient.newBuilder().proxy(proxy).version(HttpClient.Version.HTTP_1_1).build();
    var request = HttpRequest.newBuilder(URI.create("http://o.test/")).expectContinue(true)
      .timeout(Duration.ofSeconds(40)).POST(HttpRequest.BodyPublishers.ofString("hello")).build();
    System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    System.exit(0);
  }
}
`
