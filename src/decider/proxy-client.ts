// A client of a running proxy: one request as a browser or curl would send it, or one tunnel that stays open.

import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Client, type Dispatcher, errors, ProxyAgent, request } from 'undici'
import { startCommand } from '../config/own-package.ts'
import { errnoOf, messageOf } from '../errors/thrown.ts'

export interface ProxyAccess {
  /** `tls`: the proxy is spoken to in TLS */
  readonly proxy: { readonly host: string; readonly port: number; readonly tls?: boolean }
  /** absent: no credentials are sent */
  readonly credentials?: { readonly username: string; readonly password: string }
  /** PEM of the certificate authority that proxy and origins are checked against; absent: the public ones */
  readonly authority?: string
}

export interface ProxyAnswer {
  readonly status: number
  readonly body: string
  /** RFC 9209, as the proxy sent it */
  readonly proxyStatus?: string
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

/** Sends one GET on a connection of its own, in absolute form or, for `https:`, through a tunnel. Resolves to the answer of
 *  the proxy or the origin. Throws an Error with a sentence for people when there is none. */
export async function getThroughProxy(url: URL, access: ProxyAccess, options: RequestOptions): Promise<ProxyAnswer> {
  const dispatcher = url.protocol === 'https:' ? proxyAgent(access) : new Client(proxyUrl(access), trust(access))
  const { headers = {}, timeoutMs } = options
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const answer: Dispatcher.ResponseData =
      dispatcher instanceof Client
        ? await dispatcher.request({
            method: 'GET',
            path: url.href,
            reset: true,
            signal,
            headers: { ...headers, host: url.host, ...authorization(access) },
          })
        : await request(url, { dispatcher, headers, reset: true, signal })
    const proxyStatus = answer.headers['proxy-status']
    const read = { status: answer.statusCode, body: await answer.body.text() }
    return typeof proxyStatus === 'string' ? { ...read, proxyStatus } : read
  } catch (thrown) {
    throw new Error(failure(thrown, authorityOf(access), timeoutMs), { cause: thrown })
  } finally {
    await dispatcher.destroy()
  }
}

function failure(thrown: unknown, at: string, timeoutMs: number): string {
  if (errnoOf(thrown) === 'ECONNREFUSED') return `nothing listens at ${at}; is the lab running (\`${startCommand()}\`)?`
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError')
    return `no answer from ${at} within ${timeoutMs / 1000} s`
  if (thrown instanceof errors.UndiciError) return `${at} broke off: ${thrown.message}`
  return `cannot connect to ${at}: ${messageOf(thrown)}`
}

/** Opens a tunnel with CONNECT and leaves it open. Resolves to its socket and the status of the answer (0: none came within
 *  `timeoutMs`). */
export async function openTunnel(
  url: URL,
  access: ProxyAccess,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly socket: Socket }> {
  const { host, port, tls } = access.proxy
  const { authority: ca } = access
  const socket =
    tls === true ? connectTls({ host, port, ...(ca === undefined ? {} : { ca }) }) : connect({ host, port })
  socket.on('error', () => socket.destroy())
  const defaultPort = url.protocol === 'https:' ? '443' : '80'
  const target = `${url.hostname}:${url.port === '' ? defaultPort : url.port}`
  const fields = Object.entries(authorization(access)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n${fields.join('')}\r\n`)
  const [head] = await once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) }).catch(() => [''])
  // nothing is sent through it, and whatever arrives is discarded
  socket.resume()
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(String(head))?.[1] ?? 0), socket }
}

/** A dispatcher on the proxy: tunnels for `https:`, absolute form for `http:`. Speaks HTTP/1.1 with the proxy: TLS over a stream of
 *  HTTP/2 ends undici's process (an assertion of Node's JSStreamSocket). */
export function proxyAgent(access: ProxyAccess): ProxyAgent {
  const token = authorization(access)['proxy-authorization']
  const { connect: tls } = trust(access)
  return new ProxyAgent({
    uri: proxyUrl(access),
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { proxyTls: { ...tls, ...serverName(access), allowH2: false }, requestTls: tls }),
  })
}

/** TLS knows no addresses as server names (RFC 6066 section 3), and undici sends what stands in the URL. Development certificates
 *  are good for `localhost` too. */
export function serverName({ proxy }: ProxyAccess): { servername?: string } {
  return isIP(proxy.host) === 0 ? {} : { servername: 'localhost' }
}

/** The field that says who asks (RFC 7617); none without credentials. */
export function authorization({ credentials }: ProxyAccess): { 'proxy-authorization'?: string } {
  if (credentials === undefined) return {}
  const text = `${credentials.username}:${credentials.password}`
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` }
}

function proxyUrl(access: ProxyAccess): string {
  return `${access.proxy.tls === true ? 'https' : 'http'}://${authorityOf(access)}`
}

function authorityOf({ proxy: { host, port } }: ProxyAccess): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function trust({ authority }: ProxyAccess): { connect?: { ca: string } } {
  return authority === undefined ? {} : { connect: { ca: authority } }
}
