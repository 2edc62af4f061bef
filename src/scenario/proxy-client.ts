// Users of a scenario as a browser or curl would be: one connection to the proxy per visit, or one tunnel that stays open.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Client, type Dispatcher, ProxyAgent, request } from 'undici'
import { formatTarget } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import type { Listener } from '../proxy/arrival.ts'

const PATIENCE_MS = 60_000

export interface ProxyAccess {
  readonly listener: Listener
  /** absent: nobody in particular */
  readonly login?: { readonly username: string; readonly password: string }
  /** PEM of the development authority */
  readonly authority: string
}

export interface ProxyResponse {
  /** 0: none */
  readonly status: number
  readonly body: string
}

/** One GET, as JSON where the site has that. Never rejects for what the proxy or the site do. */
export async function get(url: URL, access: ProxyAccess): Promise<ProxyResponse> {
  const dispatcher = url.protocol === 'https:' ? tunnelled(access) : new Client(proxyOf(access), trust(access))
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const headers = { accept: 'application/json' }
  try {
    const answer: Dispatcher.ResponseData =
      dispatcher instanceof Client
        ? await dispatcher.request({
            method: 'GET',
            path: url.href,
            reset: true,
            signal,
            headers: { ...headers, host: url.host, ...credentials(access) },
          })
        : await request(url, { dispatcher, headers, reset: true, signal })
    return { status: answer.statusCode, body: await answer.body.text() }
  } catch {
    return { status: 0, body: '' }
  } finally {
    await dispatcher.destroy()
  }
}

/** A tunnel that stays open, and the status CONNECT was answered with. */
export async function openTunnel(
  url: URL,
  access: ProxyAccess,
): Promise<{ readonly status: number; readonly socket: Socket }> {
  const { host, port } = access.listener
  const socket =
    access.listener.tls?.mode === 'required'
      ? connectTls({ host, port, ca: access.authority })
      : connect({ host, port })
  socket.on('error', () => socket.destroy())
  const defaultPort = url.protocol === 'https:' ? '443' : '80'
  const authority = `${url.hostname}:${url.port === '' ? defaultPort : url.port}`
  const fields = Object.entries(credentials(access)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${fields.join('')}\r\n`)
  const [head] = await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => [''])
  // nothing is said over it, and nothing that comes is of interest
  socket.resume()
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(String(head))?.[1] ?? 0), socket }
}

function tunnelled(access: ProxyAccess): ProxyAgent {
  const token = credentials(access)['proxy-authorization']
  return new ProxyAgent({
    uri: proxyOf(access),
    ...(token === undefined ? {} : { token }),
    proxyTls: { ca: access.authority },
    requestTls: { ca: access.authority },
  })
}

function credentials({ login }: ProxyAccess): { 'proxy-authorization'?: string } {
  if (login === undefined) return {}
  const text = `${login.username}:${login.password}`
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` }
}

function proxyOf({ listener: { host, port, tls } }: ProxyAccess): string {
  const target = parseHost(host)?.kind === 'name' ? { kind: 'name' as const, name: host, port } : undefined
  const authority = target === undefined && host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return `${tls?.mode === 'required' ? 'https' : 'http'}://${target === undefined ? authority : formatTarget(target)}`
}

function trust({ authority }: ProxyAccess) {
  return { connect: { ca: authority } }
}
