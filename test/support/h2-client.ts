// A client that speaks HTTP/2 to the proxy: CONNECT as a stream, and requests in their http form.

import { once } from 'node:events'
import { request } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { PATIENCE_MS } from './patience.ts'
import { testTls } from './tls.ts'

export interface Login {
  readonly email: string
  readonly password: string
}

/** An HTTP/2 connection to the proxy, gone when the test ends. */
export async function connectH2(port: number): Promise<ClientHttp2Session> {
  const { authority } = await testTls()
  const session = connect(`https://127.0.0.1:${port}`, { ca: authority.certificate })
  onTestFinished(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'connect', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return session
}

export function authorization(login: Login | undefined): Record<string, string> {
  if (login === undefined) return {}
  const token = Buffer.from(`${login.email}:${login.password}`).toString('base64')
  return { 'proxy-authorization': `Basic ${token}` }
}

export interface OpenedStream {
  readonly stream: ClientHttp2Stream
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** A stream with these header fields; resolves with the answer's head, rejects when the stream is reset before. */
export async function openStream(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  endStream = false,
): Promise<OpenedStream> {
  // without trailers to wait for, Node sends END_STREAM ahead of RST_STREAM
  const stream = session.request(headers, { endStream, waitForTrailers: !endStream })
  const answered = once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const [head] = await answered
  stream.on('error', () => {})
  return { stream, status: Number(head[':status']), headers: head }
}

export function openTunnel(session: ClientHttp2Session, authority: string, login?: Login): Promise<OpenedStream> {
  return openStream(session, { ':method': 'CONNECT', ':authority': authority, ...authorization(login) })
}

export interface Asked {
  readonly exit: number
  readonly status: number
  readonly body: string
}

/** A request through a tunnel of its own. */
export async function askThroughTunnel(port: number, url: string, login?: Login, upload?: string): Promise<Asked> {
  const { host, pathname } = new URL(url)
  const { stream, status } = await openTunnel(await connectH2(port), host, login)
  if (status !== 200) return { exit: 56, status, body: await text(stream) }
  const inner = request({
    createConnection: () => stream,
    host,
    path: pathname,
    method: upload === undefined ? 'GET' : 'POST',
  })
  inner.setHeader('Host', host)
  inner.end(upload)
  const [response] = await once(inner, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return { exit: 0, status: response.statusCode, body: await text(response) }
}

/** A request to be forwarded, as a stream of its own. */
export async function askForwarded(port: number, url: string, login?: Login, upload?: string): Promise<Asked> {
  const { host, pathname } = new URL(url)
  const session = await connectH2(port)
  const stream = session.request(
    {
      ':method': upload === undefined ? 'GET' : 'POST',
      ':scheme': 'http',
      ':authority': host,
      ':path': pathname,
      ...authorization(login),
    },
    { endStream: upload === undefined },
  )
  if (upload !== undefined) stream.end(upload)
  const [head] = await once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const body = await text(stream)
  session.close()
  return { exit: 0, status: Number(head[':status']), body }
}
