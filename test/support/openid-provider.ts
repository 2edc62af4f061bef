// A real OpenID provider (oidc-provider) on loopback, whose people and their groups a test decides; and somebody who signs in there without
// a browser.

import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt, SignJWT } from 'jose'
import { type ClientMetadata, type Configuration, Provider } from 'oidc-provider'

export interface TestProvider {
  /** `http://127.0.0.1:12345` */
  readonly issuer: string
  /** groups by account */
  readonly groups: Map<string, readonly string[]>
  /** accounts that are there no more */
  readonly gone: Set<string>
  /** Signs by another key from now on. `clockOffS`: seconds by which its clock is off. */
  restart(options?: { readonly clockOffS?: number }): void
  /** listens no more */
  stop(): Promise<void>
  /** listens again */
  resume(): Promise<void>
}

export interface TestProviderOptions {
  readonly redirectUri: string
  readonly client?: Partial<ClientMetadata>
  readonly configuration?: Partial<Configuration>
}

export async function startProvider({
  redirectUri,
  client = {},
  configuration = {},
}: TestProviderOptions): Promise<TestProvider> {
  const groups = new Map<string, readonly string[]>()
  const gone = new Set<string>()
  let handle: ReturnType<Provider['callback']> | undefined
  const listener = (...[request, response]: Parameters<NonNullable<typeof handle>>) => void handle?.(request, response)
  let server: Server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const restart = ({ clockOffS = 0 } = {}) => {
    handle = createProvider(issuer, { groups, gone }, { redirectUri, client, configuration, clockOffS }).callback()
  }
  restart()
  return {
    issuer,
    groups,
    gone,
    restart,
    stop: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    resume: async () => {
      server = createServer(listener)
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
  }
}

/** seconds */
const TTL = {
  AccessToken: 3600,
  AuthorizationCode: 60,
  Grant: 3600,
  IdToken: 3600,
  Interaction: 600,
  RefreshToken: 3600,
  Session: 3600,
}

function createProvider(
  issuer: string,
  { groups, gone }: Pick<TestProvider, 'groups' | 'gone'>,
  { redirectUri, client = {}, configuration = {}, clockOffS }: TestProviderOptions & { readonly clockOffS: number },
): Provider {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const [key, kid] = [privateKey.export({ format: 'jwk' }), crypto.randomUUID()]
  const provider = new Provider(issuer, {
    ...configuration,
    clients: [
      {
        client_id: 'egresslab',
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
        ...client,
      },
    ],
    jwks: { keys: [{ ...key, kid, use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['a key of a test'] },
    ttl: { ...TTL, ...configuration.ttl },
    claims: { openid: ['sub'], email: ['email'], profile: ['preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
    findAccount: (_context, accountId) => {
      if (gone.has(accountId)) return undefined
      const [email, list] = [`${accountId}@corp.example`, [...(groups.get(accountId) ?? [])]]
      return { accountId, claims: () => ({ sub: accountId, email, preferred_username: accountId, groups: list }) }
    },
    // nobody is asked whether they consent
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({
        clientId: oidc.client?.clientId ?? '',
        accountId: oidc.session?.accountId ?? '',
      })
      grant.addOIDCScope('openid offline_access email profile groups')
      await grant.save()
      return grant
    },
  })
  provider.use(async (context, next) => {
    await next()
    const token: unknown = Object(context.body).id_token
    if (clockOffS === 0 || typeof token !== 'string') return
    const { exp = 0, iat = 0, ...claims } = decodeJwt(token)
    const off = { ...claims, exp: exp + clockOffS, iat: iat + clockOffS }
    context.body.id_token = await new SignJWT(off).setProtectedHeader({ alg: 'RS256', kid }).sign(privateKey)
  })
  return provider
}

/** Signs in at the provider as this account, from the address the lab sent to; answers the address the provider sends back to. */
export async function signInAt(from: string, account: string): Promise<URL> {
  const jar = new Map<string, string>()
  const ask = async (url: string, form?: Record<string, string>): Promise<{ next: string | null; text: string }> => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const set of response.headers.getSetCookie()) {
      const [pair = ''] = set.split(';')
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    const location = response.headers.get('location')
    return { next: location === null ? null : new URL(location, url).href, text: await response.text() }
  }
  const { origin } = new URL(from)
  let url = from
  for (let step = 0; step < 10; step++) {
    const { next, text } = await ask(url)
    if (next === null) {
      const action = /<form[^>]*action="([^"]+)"/.exec(text)?.[1]
      if (action === undefined) throw new Error(`the provider says: ${text}`)
      const prompt = /name="prompt" value="(\w+)"/.exec(text)?.[1] ?? 'login'
      const answer = await ask(new URL(action, url).href, { prompt, login: account, password: 'any' })
      url = answer.next ?? ''
    } else url = next
    if (!url.startsWith(origin)) return new URL(url)
  }
  throw new Error('the provider sends around in circles')
}
