// The public keys of one identity provider: fetched when first needed, renewed in the background, asked for again when a token names
// a key that is not there (rotation), and kept in use for a day when their source is gone. Verifies nothing itself.

import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { request } from 'undici'
import type { IdentityProvider } from '../config/lab-config.ts'
import { readWholeFile } from '../config/read-whole-file.ts'
import { GatewayError } from '../errors/gateway-error.ts'

/** Keys this old are renewed, while they go on being used. */
const RENEW_MS = 10 * 60_000
/** Keys this old are of no use any more. */
const KEEP_MS = 24 * 60 * 60_000
/** The source is asked no more often than this, whatever tokens say (forged ones would make it a flood). */
const COOL_DOWN_MS = 15_000
const TIMEOUT_MS = 5_000
const MAX_BYTES = 1024 * 1024

export type LoadKeys = () => Promise<JSONWebKeySet>

/** Finds the key of a token. Rejects with `identity.keys_unavailable`, or with jose's error where no key fits.
 *  `tick`: monotonic ms. */
export function createKeySet(name: string, load: LoadKeys, tick: () => number): JWTVerifyGetKey {
  let known: { readonly find: JWTVerifyGetKey; readonly at: number } | undefined
  let trouble = 'they were not asked for yet'
  let askedAt = Number.NEGATIVE_INFINITY
  let underway: Promise<void> | undefined

  async function renew(): Promise<void> {
    askedAt = tick()
    try {
      known = { find: createLocalJWKSet(await load()), at: tick() }
    } catch (thrown) {
      trouble = thrown instanceof Error ? thrown.message : String(thrown)
    } finally {
      underway = undefined
    }
  }

  /** Joins a request under way; starts one unless the last was a moment ago. False: nothing was asked. */
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
    const logged = `the keys of the identity provider \`${name}\` cannot be had: ${trouble}`
    const message = 'the keys that tokens are verified with cannot be had at the moment'
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

/** Reads the keys from where the configuration has them. A URL is asked directly: neither through the proxy nor through its guard, no
 *  redirect is followed, and more than 1 MiB or 5 seconds is too much. */
export function keysFrom(keys: IdentityProvider['keys']): LoadKeys {
  return async () =>
    parseKeys(keys.kind === 'file' ? readWholeFile(keys.path).toString('utf8') : await fetchText(keys.url))
}

async function fetchText(url: string): Promise<string> {
  const { statusCode, body } = await request(url, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  // a body that is given up says so once more, when nobody listens
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
  if (!Array.isArray(Object(set).keys)) throw new Error('what is there is no JWK Set')
  return set as JSONWebKeySet
}
