// One question, asked of every way in: which source address did the origin see? Exceptions are declared with their reason.

import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { ALICE, BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

interface WayIn {
  readonly name: string
  readonly protocol: string
  /** curl's arguments for this proxy */
  readonly curl: (port: number) => readonly string[]
  /** why this protocol cannot log in; then the listener has to say who it is */
  readonly cannotLogIn?: string
}

const WAYS_IN: readonly WayIn[] = [
  { name: 'HTTP absolute form', protocol: 'http-forward', curl: (port) => ['-x', `http://127.0.0.1:${port}`] },
  { name: 'HTTP CONNECT', protocol: 'http-connect', curl: (port) => ['-p', '-x', `http://127.0.0.1:${port}`] },
  { name: 'SOCKS5', protocol: 'socks5', curl: (port) => ['-x', `socks5h://127.0.0.1:${port}`] },
  {
    name: 'SOCKS4a',
    protocol: 'socks4',
    curl: (port) => ['-x', `socks4a://127.0.0.1:${port}`],
    cannotLogIn: 'version 4 has no password',
  },
]

describe.each(WAYS_IN)('$name', (way) => {
  const listener = (email: string) =>
    way.cannotLogIn === undefined ? {} : { authentication: 'anonymous' as const, fixedUser: email }
  const login = (email: string) => (way.cannotLogIn === undefined ? ['-U', `${email}:${PASSWORD}`] : [])

  test.each([BOB, ALICE, 'carol@example.com'])(
    '[E5] the origin sees the egress address decided for %s',
    async (email) => {
      const origin = await tellMeOrigin()
      const gateway = await startGateway({ listener: listener(email) })

      const answer = await curl(...way.curl(gateway.port), ...login(email), `http://echo.test:${origin.port}/`)

      expect(answer).toMatchObject({ exit: 0, status: 200, body: `${EGRESS[email]?.bound}\n` })
    },
  )

  test('[E1] one record says who, where from, by which rule, and carries the port the origin saw', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway({ listener: listener(ALICE) })

    await curl(...way.curl(gateway.port), ...login(ALICE), `http://echo.test:${origin.port}/`)

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
      Lab: { inbound: way.protocol, outcome: 'dedicated', target: `echo.test:${origin.port}`, policyRevision: 1 },
    })
    expect(gateway.records[0]?.BytesReceived).toBeGreaterThan(12)
    expect(gateway.records[0]?.BytesSent).toBeGreaterThan(12)
  })

  test('[E6] a refused origin is told as refused, with one record and no lease left', async () => {
    const origin = await tellMeOrigin()
    await new Promise((resolve) => origin.server.close(resolve))
    const gateway = await startGateway({ listener: listener(BOB) })

    const answer = await curl(...way.curl(gateway.port), ...login(BOB), `http://echo.test:${origin.port}/`)

    expect(answer.status === 502 || answer.exit !== 0).toBe(true)
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'dial.refused' } } }])
    expect(gateway.leases.counts().active).toBe(0)
  })

  test('an upload and its echo arrive whole', async () => {
    const body = 'abcdefghij'.repeat(10_000)
    const origin = await tellMeOrigin((req, res) => req.pipe(res))
    const gateway = await startGateway({ listener: listener(BOB) })

    const answer = await curl(
      ...way.curl(gateway.port),
      ...login(BOB),
      ...['-H', 'Expect:', '--data-binary', body],
      `http://echo.test:${origin.port}/`,
    )

    expect(answer).toMatchObject({ exit: 0, status: 200 })
    expect(answer.body === body).toBe(true)
  })
})
