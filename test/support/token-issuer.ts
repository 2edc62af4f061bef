// An identity provider for tests: a key made on the spot, tokens signed with it, and its public keys over HTTP.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { onTestFinished } from 'vitest'

export const ISSUER = 'https://team.example.com'
export const AUDIENCE = 'lab-audience'

export interface TokenKey {
  readonly kid: string
  /** A token of Alice's, good for an hour from `now`, unless `claims` say otherwise; `undefined` leaves one out. */
  sign(claims?: Readonly<Record<string, unknown>>, now?: number): Promise<string>
  readonly jwk: Readonly<Record<string, unknown>>
  readonly privateKey: CryptoKey
}

export async function makeKey(kid: string, alg = 'ES256'): Promise<TokenKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
  return {
    kid,
    jwk,
    privateKey,
    sign: (claims = {}, now = Date.now()) => {
      const seconds = Math.floor(now / 1000)
      const all = {
        iss: ISSUER,
        aud: [AUDIENCE],
        sub: 'user-1',
        email: 'alice@example.com',
        iat: seconds,
        exp: seconds + 3600,
      }
      return new SignJWT({ ...all, ...claims }).setProtectedHeader({ alg, kid }).sign(privateKey)
    },
  }
}

export interface KeyServer {
  readonly url: string
  /** requests so far */
  readonly asked: number
  /** what it answers from now on; a number: this status and nothing; a text: this */
  answer: readonly TokenKey[] | number | string
}

/** Publishes keys on a free port until the test is over. */
export async function publishKeys(...keys: readonly TokenKey[]): Promise<KeyServer> {
  let asked = 0
  const state: Pick<KeyServer, 'answer'> = { answer: keys }
  const server = createServer((_req, res) => {
    asked++
    const { answer } = state
    if (typeof answer === 'number') res.writeHead(answer).end()
    else if (typeof answer === 'string') res.end(answer)
    else
      res
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ keys: answer.map(({ jwk }) => jwk) }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return Object.defineProperties(state, {
    url: { value: `http://127.0.0.1:${port}/certs` },
    asked: { get: () => asked },
  }) as KeyServer
}

/** The provider as a configuration has it. */
export function providerText(where: string): string {
  return `identity_providers: [{ name: access, issuer: "${ISSUER}", audience: ${AUDIENCE}, ${where} }]\n`
}
