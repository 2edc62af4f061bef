// One question, asked of every way in: which source address did the origin see? Exceptions are declared with their reason.

import { describe, expect, test } from 'vitest'
import { type CurlAnswer, curl } from '../support/curl.ts'
import { askForwarded, askThroughTunnel, type Login } from '../support/h2-client.ts'
import { ALICE, BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { testTls, tlsSource } from '../support/tls.ts'

interface Question {
  readonly url: string
  readonly login?: Login
  readonly upload?: string
}

interface WayIn {
  readonly name: string
  readonly protocol: string
  readonly ask: (port: number, question: Question) => Promise<Pick<CurlAnswer, 'exit' | 'status' | 'body'>>
  /** why this protocol cannot log in; then the listener has to say who it is */
  readonly cannotLogIn?: string
  /** the client speaks TLS to the proxy */
  readonly secured?: true
}

const { authorityFile } = await testTls()

/** curl with these arguments for the proxy at a port. */
function curlBy(argumentsFor: (port: number) => readonly string[]): WayIn['ask'] {
  return (port, { url, login, upload }) =>
    curl(
      ...argumentsFor(port),
      ...(login === undefined ? [] : ['-U', `${login.email}:${login.password}`]),
      ...(upload === undefined ? [] : ['-H', 'Expect:', '--data-binary', upload]),
      url,
    )
}

function https(port: number): string[] {
  return ['-x', `https://127.0.0.1:${port}`, '--proxy-cacert', authorityFile]
}

const WAYS_IN: readonly WayIn[] = [
  { name: 'HTTP absolute form', protocol: 'http-forward', ask: curlBy((port) => ['-x', `http://127.0.0.1:${port}`]) },
  { name: 'HTTP CONNECT', protocol: 'http-connect', ask: curlBy((port) => ['-p', '-x', `http://127.0.0.1:${port}`]) },
  { name: 'SOCKS5', protocol: 'socks5', ask: curlBy((port) => ['-x', `socks5h://127.0.0.1:${port}`]) },
  {
    name: 'SOCKS4a',
    protocol: 'socks4',
    ask: curlBy((port) => ['-x', `socks4a://127.0.0.1:${port}`]),
    cannotLogIn: 'version 4 has no password',
  },
  { name: 'HTTPS proxy, absolute form', protocol: 'http-forward', ask: curlBy(https), secured: true },
  {
    name: 'HTTPS proxy, CONNECT',
    protocol: 'http-connect',
    ask: curlBy((port) => ['-p', ...https(port)]),
    secured: true,
  },
  {
    name: 'HTTP/2 proxy, CONNECT',
    protocol: 'h2-connect',
    ask: (port, { url, login, upload }) => askThroughTunnel(port, url, login, upload),
    secured: true,
  },
  {
    name: 'HTTP/2 proxy, http requests',
    protocol: 'h2-forward',
    ask: (port, { url, login, upload }) => askForwarded(port, url, login, upload),
    secured: true,
  },
]

describe.each(WAYS_IN)('$name', (way) => {
  const listener = (email: string) =>
    way.cannotLogIn === undefined ? {} : { authentication: 'anonymous' as const, fixedUser: email }
  const login = (email: string) => (way.cannotLogIn === undefined ? { login: { email, password: PASSWORD } } : {})
  const start = async (email: string) => {
    const source = await tlsSource()
    return startGateway({ listener: listener(email), settings: { tlsFor: () => source } })
  }

  test.each([BOB, ALICE, 'carol@example.com'])(
    '[E5] the origin sees the egress address decided for %s',
    async (email) => {
      const origin = await tellMeOrigin()
      const gateway = await start(email)

      const answer = await way.ask(gateway.port, { ...login(email), url: `http://echo.test:${origin.port}/` })

      expect(answer).toMatchObject({ exit: 0, status: 200, body: `${EGRESS[email]?.bound}\n` })
    },
  )

  test('[E1] one record says who, where from, by which rule, and carries the port the origin saw', async () => {
    const origin = await tellMeOrigin()
    const gateway = await start(ALICE)

    await way.ask(gateway.port, { ...login(ALICE), url: `http://echo.test:${origin.port}/` })

    expect(await gateway.recorded(1)).toHaveLength(1)
    expect(gateway.records[0]).toMatchObject({
      Email: ALICE,
      EgressIP: '203.0.113.20',
      EgressPort: origin.connections[0]?.port,
      EgressRuleName: 'EMEA leaves from London',
      EgressColoName: 'LHR',
      OriginIP: '198.51.100.1',
      OriginPort: origin.port,
      ResolvedFQDN: 'echo.test',
      ClientTLSVersion: way.secured ? 'TLSv1.3' : '',
      ClientTLSCipher: way.secured ? expect.stringMatching(/^TLS_/) : '',
      Lab: { inbound: way.protocol, outcome: 'dedicated', target: `echo.test:${origin.port}`, policyRevision: 1 },
    })
    expect(gateway.records[0]?.BytesReceived).toBeGreaterThan(12)
    expect(gateway.records[0]?.BytesSent).toBeGreaterThan(12)
  })

  test('[E6] a refused origin is told as refused, with one record and no lease left', async () => {
    const origin = await tellMeOrigin()
    const gateway = await start(BOB)
    // not before the gateway has a port of its own, which could be this one
    await new Promise((resolve) => origin.server.close(resolve))

    const answer = await way.ask(gateway.port, { ...login(BOB), url: `http://echo.test:${origin.port}/` })

    expect(answer.status === 502 || answer.exit !== 0).toBe(true)
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'dial.refused' } } }])
    expect(gateway.leases.counts().active).toBe(0)
  })

  test('an upload and its echo arrive whole', async () => {
    const body = 'abcdefghij'.repeat(10_000)
    const origin = await tellMeOrigin((req, res) => req.pipe(res))
    const gateway = await start(BOB)

    const answer = await way.ask(gateway.port, { ...login(BOB), upload: body, url: `http://echo.test:${origin.port}/` })

    expect(answer).toMatchObject({ exit: 0, status: 200 })
    expect(answer.body === body).toBe(true)
  })
})
