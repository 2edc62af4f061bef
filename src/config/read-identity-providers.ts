// Section identity_providers: the issuers whose tokens count as a login. Checks a file of keys at once, so that an
// invalid one is reported before anything listens; never requests a URL.

import { resolve } from 'node:path'
import { parseIp } from '../net/ip.ts'
import { parseDurationMs } from './formats.ts'
import type { IdentityProvider } from './lab-config.ts'
import type { RawIdentityProvider } from './raw-config.ts'
import { checkNamed } from './read-networks.ts'
import { readWholeFile } from './read-whole-file.ts'
import type { ReadingContext } from './reading.ts'
import type { DocumentPath } from './source-document.ts'

/** `folder`: the base of relative file paths. */
export function readIdentityProviders(reading: ReadingContext, folder: string): readonly IdentityProvider[] {
  const { identity_providers: providers } = reading.raw
  checkNamed(reading, 'identity_providers', 'identity provider', providers)
  return providers.flatMap((provider, at) =>
    readProvider(reading, provider, { path: ['identity_providers', at], folder }),
  )
}

interface ProviderPath {
  readonly path: DocumentPath
  readonly folder: string
}

function readProvider(reading: ReadingContext, provider: RawIdentityProvider, spot: ProviderPath): IdentityProvider[] {
  const keys = readKeys(reading, provider, spot)
  if (keys === undefined) return []
  const { name, issuer, audience, algorithms, clock_skew, claims } = provider
  return [
    Object.freeze({
      name,
      issuer,
      audiences: [audience].flat(),
      keys,
      algorithms,
      clockSkewMs: parseDurationMs(clock_skew) ?? 0,
      claims: {
        email: [claims.email].flat(),
        id: [claims.id].flat(),
        name: [claims.name].flat(),
        groups: [claims.groups].flat(),
        samlAttributes: [claims.saml_attributes].flat(),
        oidcClaims: [claims.oidc_claims].flat(),
      },
    }),
  ]
}

function readKeys(
  { problems }: Pick<ReadingContext, 'problems'>,
  { name, jwks_url: url, jwks_file: file }: RawIdentityProvider,
  { path, folder }: ProviderPath,
): IdentityProvider['keys'] | undefined {
  if ((url === undefined) === (file === undefined)) {
    problems.add(path, 'config.conflict', `\`${name}\` needs either \`jwks_url\` or \`jwks_file\``)
    return undefined
  }
  if (file !== undefined) {
    const found = resolve(folder, file)
    const wrong = whatIsWrongWith(found)
    if (wrong !== undefined) problems.add([...path, 'jwks_file'], 'config.unreadable', `\`${file}\` ${wrong}`)
    return { kind: 'file', path: found }
  }
  if (url !== undefined && crossesNetworkInTheClear(url)) {
    const message = `keys from \`${URL.parse(url)?.host}\` over plain http can be replaced on the way`
    const hint = 'fetch keys over https, or from this machine'
    problems.add([...path, 'jwks_url'], 'config.insecure', message, { severity: 'warning', hint })
  }
  return { kind: 'url', url: url ?? '' }
}

function whatIsWrongWith(file: string): string | undefined {
  try {
    const { keys } = Object(JSON.parse(readWholeFile(file).toString('utf8')))
    return Array.isArray(keys) && keys.length > 0 ? undefined : 'is not a JWK Set: it has no `keys`'
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return 'is not JSON'
    return `cannot be read (${thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown)})`
  }
}

function crossesNetworkInTheClear(url: string): boolean {
  const { protocol = '', hostname = '' } = URL.parse(url) ?? {}
  if (protocol !== 'http:' || hostname === 'localhost') return false
  const address = parseIp(hostname.replace(/^\[|\]$/g, ''))
  return address?.text !== '::1' && !(address?.family === 4 && address.text.startsWith('127.'))
}
