// The public keys of one identity provider: fetched on first use, renewed in the background, fetched again when a token
// names an unknown key (rotation), and used for up to a day while their source is unavailable. Verifies nothing itself.

import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { readWholeFile } from '../config/files.ts'
import type { IdentityProvider } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'

/** Keys this old (ms) are renewed while they stay in use. */
const RENEW_MS = 10 * 60_000
/** Keys this old (ms) are no longer used. */
const KEEP_MS = 24 * 60 * 60_000
/** The source is queried at most this often (ms), whatever tokens name: forged ones would cause a flood. */
const COOL_DOWN_MS = 15_000
const TIMEOUT_MS = 5_000
const MAX_BYTES = 1024 * 1024

export type LoadKeys = () => Promise<JSONWebKeySet>

/** Creates a function that finds the key of a token. It rejects with `identity.keys_unavailable`, or with jose's
 *  error if no key fits. `tick`: monotonic ms. */
export function createKeySet(name: string, load: LoadKeys, tick: () => number): JWTVerifyGetKey {
  let known: { readonly find: JWTVerifyGetKey; readonly at: number } | undefined
  let lastError = 'they have not been requested yet'
  let askedAt = Number.NEGATIVE_INFINITY
  let underway: Promise<void> | undefined

  async function renew(): Promise<void> {
    askedAt = tick()
    try {
      known = { find: createLocalJWKSet(await load()), at: tick() }
    } catch (thrown) {
      lastError = thrown instanceof Error ? thrown.message : String(thrown)
    } finally {
      underway = undefined
    }
  }

  /** Joins a request in progress, or starts one unless the last was a moment ago. False: no request was made. */
  async function ask(): Promise<boolean> {
    if (underway === undefined && tick() - askedAt < COOL_DOWN_MS) return false
    underway ??= renew()
    await underway
    return true
  }

  function current() {
    return known !== undefined && tick() - known.at <= KEEP_MS ? known : undefined
  }

  function unavailable(): GatewayError {
    const logged = `the keys of the identity provider \`${name}\` are unavailable: ${lastError}`
    const message = 'the keys for verifying tokens are unavailable at the moment'
    return new GatewayError('identity.keys_unavailable', message, { logged })
  }

  return async (header, token) => {
    if (current() === undefined) await ask()
    const now = current()
    if (now === undefined) throw unavailable()
    if (tick() - now.at > RENEW_MS) void ask()
    try {
      return await now.find(header, token)
    } catch (thrown) {
      if (!(thrown instanceof errors.JWKSNoMatchingKey) || !(await ask())) throw thrown
      return await (current() ?? now).find(header, token)
    }
  }
}

/** Loads keys from their configured source. A URL is requested directly, not through the proxy or its guard;
 *  redirects are not followed, and responses over 1 MiB or 5 seconds fail. */
export function keysFrom(keys: IdentityProvider['keys']): LoadKeys {
  return async () =>
    parseKeys(keys.kind === 'file' ? readWholeFile(keys.path).toString('utf8') : await fetchText(keys.url))
}

async function fetchText(url: string): Promise<string> {
  // loaded when it is needed, as most labs have no such provider
  const { request } = await import('undici')
  const { statusCode, body } = await request(url, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  // an abandoned body reports its error again, when nobody listens
  body.on('error', () => undefined)
  if (statusCode !== 200) {
    body.destroy()
    throw new Error(`${url} answers ${statusCode}`)
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error(`${url} answers with more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseKeys(text: string): JSONWebKeySet {
  const set: unknown = JSON.parse(text)
  if (!Array.isArray(Object(set).keys)) throw new Error('the response is not a JWK Set')
  return set as JSONWebKeySet
}
