// The roads through the proxy that the soak's traffic takes: absolute-form requests, CONNECT, SOCKS4a and SOCKS5 tunnels, TLS and HTTP/2
// to the proxy, and a SOCKS5 association for datagrams. Each takes a connection that `dial` made, which is how the soak knows it.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type IncomingMessage, request as sendRequest } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { readableOrOver } from './faulty-origin.ts'
import type { Road } from './road.ts'
import type { Traveller } from './situation.ts'
import type { Door } from './trips.ts'

export const HOST = '127.0.0.1'

/** No operation of the soak takes longer, unless it says so. */
const PATIENCE_MS = 60_000

export interface Answer {
  readonly status: number
  readonly body: string
}

/** A client connection to the lab; it is gone when its operation is over. */
export async function dial(road: Road, door: Door = 'main'): Promise<Socket> {
  const at = Date.now()
  const socket = connect({ host: HOST, port: road.ports[door], allowHalfOpen: true, noDelay: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect', { signal: AbortSignal.timeout(PATIENCE_MS) })
  road.embark(socket, door, at)
  return socket
}

function userNameOf({ email, network }: Traveller): string {
  return network === undefined ? email : `${email};vnet=${network}`
}

export function basic(traveller: Traveller): string {
  return `Basic ${Buffer.from(`${userNameOf(traveller)}:${traveller.password}`).toString('base64')}`
}

interface Ask {
  readonly method?: string
  readonly body?: Buffer
  readonly who?: Traveller
}

/** An absolute-form request on a connection of its own; resolves with the answer's head, its body unread. Rejects when the
 *  connection fails. */
export async function openForward(road: Road, url: string, ask: Ask = {}): Promise<IncomingMessage> {
  const socket = await dial(road)
  const request = sendRequest({
    createConnection: () => socket,
    method: ask.method ?? 'GET',
    path: url,
    headers: {
      host: new URL(url).host,
      'proxy-authorization': basic(ask.who ?? road.who),
      connection: 'close',
      ...(ask.body === undefined ? {} : { 'content-length': ask.body.length }),
    },
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  request.end(ask.body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

/** The whole answer. */
export async function forward(road: Road, url: string, ask: Ask = {}): Promise<Answer> {
  const response = await openForward(road, url, ask)
  return { status: response.statusCode ?? 0, body: await text(response) }
}

/** The head of an absolute-form request. */
export function forwardHead({ who }: Road, method: string, url: string, fields = ''): string {
  return `${method} ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nProxy-Authorization: ${basic(who)}\r\n${fields}\r\n`
}

export function connectHead({ who }: Road, authority: string): string {
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: ${basic(who)}\r\n\r\n`
}

/** A CONNECT tunnel. Rejects with the status where it is refused. */
export async function openConnect(road: Road, authority: string, through?: Socket): Promise<Socket> {
  const socket = through ?? (await dial(road))
  socket.write(connectHead(road, authority))
  const head = await readMark(socket, '\r\n\r\n')
  const status = Number(head.split(' ')[1])
  if (status === 200) return socket
  socket.destroy()
  throw new Error(`CONNECT ${authority} was answered ${status}`)
}

/** A SOCKS5 tunnel. Rejects where it is refused. */
export async function openSocks5(road: Road, host: string, port = 80): Promise<Socket> {
  const socket = await logInSocks5(road)
  socket.write(socks5Request(1, host, port))
  await readSocks5Reply(socket)
  return socket
}

/** A connection that SOCKS5 is spoken on, up to the request. */
export async function logInSocks5(road: Road): Promise<Socket> {
  const socket = await dial(road)
  socket.write(Buffer.concat([Buffer.of(5, 1, 2), socks5Login(road.who)]))
  await expectBytes(socket, [5, 2], 'the choice of method')
  await expectBytes(socket, [1, 0], 'the login')
  return socket
}

function socks5Login(who: Traveller): Buffer {
  const [name, password] = [Buffer.from(userNameOf(who)), Buffer.from(who.password)]
  return Buffer.concat([Buffer.of(1, name.length), name, Buffer.of(password.length), password])
}

export function socks5Request(command: number, host: string, port: number): Buffer {
  return Buffer.concat([Buffer.of(5, command, 0, 3, host.length), Buffer.from(host), Buffer.of(port >> 8, port & 0xff)])
}

/** The port of a reply with an IPv4 or IPv6 address. */
async function readSocks5Reply(socket: Socket): Promise<number> {
  const head = await readBytes(socket, 4)
  const rest = await readBytes(socket, head[3] === 4 ? 18 : 6)
  if (head[1] !== 0) throw new Error(`SOCKS5 refused with ${head[1]}`)
  return rest.readUInt16BE(rest.length - 2)
}

/** A SOCKS4a tunnel through the listener without passwords. Rejects where it is refused. */
export async function openSocks4(road: Road, host: string, port = 80): Promise<Socket> {
  const socket = await dial(road, 'open')
  socket.write(Buffer.concat([Buffer.of(4, 1, port >> 8, port & 0xff, 0, 0, 0, 1, 0), Buffer.from(`${host}\0`)]))
  const reply = await readBytes(socket, 8)
  if (reply[1] !== 0x5a) throw new Error(`SOCKS4 refused with ${reply[1]}`)
  return socket
}

/** A TLS connection to the proxy itself. */
export async function openTls(road: Road, protocols: readonly string[]): Promise<TLSSocket> {
  const socket = await dial(road)
  const secure = connectTls({ socket, ALPNProtocols: [...protocols], rejectUnauthorized: false })
  secure.on('error', () => undefined)
  await once(secure, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return secure
}

/** An HTTP/2 connection to the proxy. */
export async function openHttp2(road: Road): Promise<ClientHttp2Session> {
  const secure = await openTls(road, ['h2'])
  const session = connectHttp2(`https://${HOST}`, { createConnection: () => secure })
  session.on('error', () => undefined)
  await once(session, 'remoteSettings', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return session
}

/** One request in a tunnel, half-closed after it where asked for; the body. The tunnel ends with it. */
export async function askThrough(socket: Socket, host: string, path: string, halfClose = false): Promise<string> {
  const head = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  if (halfClose) socket.end(head)
  else socket.write(head)
  const answer = await readToEnd(socket)
  socket.end()
  return answer.slice(answer.indexOf('\r\n\r\n') + 4)
}

/** All there is to come; the other direction stays open. Rejects where the connection is reset. */
export async function readToEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for (;;) {
    const chunk: Buffer | null = socket.read()
    if (chunk !== null) chunks.push(chunk)
    else if (socket.errored !== null) throw socket.errored
    else if (socket.readableEnded) return Buffer.concat(chunks).toString('latin1')
    else if (socket.destroyed) throw new Error(`the connection was closed after ${chunks.length} chunks`)
    else await readableOrOver(socket)
  }
}

/** One answer with a length on a connection that goes on; its status and body. */
export async function readAnswer(socket: Socket): Promise<Answer> {
  const head = await readMark(socket, '\r\n\r\n')
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
  const body = length === 0 ? '' : (await readBytes(socket, length)).toString()
  return { status: Number(head.split(' ')[1]), body }
}

/** One datagram to UDP port 7 of a host through an association; what came back. */
export async function askByDatagram(road: Road, host: string): Promise<string> {
  const control = await logInSocks5(road)
  control.write(Buffer.of(5, 3, 0, 1, 0, 0, 0, 0, 0, 0))
  const relayPort = await readSocks5Reply(control)
  const socket = createSocket('udp4')
  try {
    const header = Buffer.from([0, 0, 0, 3, host.length, ...Buffer.from(host), 0, 7])
    socket.send(Buffer.concat([header, Buffer.from('soak')]), relayPort, HOST)
    const [datagram] = (await once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
    return datagram.subarray(10).toString()
  } finally {
    socket.close()
    control.destroy()
  }
}

/** Reads until so many bytes have come; rejects where the peer ends before. */
export function readBytes(socket: Socket, count: number): Promise<Buffer> {
  return readWhile(socket, (held) => (held.length >= count ? count : 0))
}

async function readMark(socket: Socket, mark: string): Promise<string> {
  const bytes = await readWhile(socket, (held) => {
    const at = held.indexOf(mark)
    return at < 0 ? 0 : at + mark.length
  })
  return bytes.toString('latin1')
}

async function expectBytes(socket: Socket, expected: readonly number[], what: string): Promise<void> {
  const bytes = await readBytes(socket, expected.length)
  if (!bytes.equals(Buffer.from(expected))) throw new Error(`SOCKS5 refused with ${[...bytes]} at ${what}`)
}

/** `enough` says how many of the bytes are wanted, 0 while there are too few. */
async function readWhile(socket: Socket, enough: (held: Buffer) => number): Promise<Buffer> {
  const patience = setTimeout(() => socket.destroy(), PATIENCE_MS)
  let held = Buffer.alloc(0)
  try {
    for (;;) {
      const chunk: Buffer | null = socket.read()
      if (chunk !== null) {
        held = Buffer.concat([held, chunk])
        const wanted = enough(held)
        if (wanted === 0) continue
        if (held.length > wanted) socket.unshift(held.subarray(wanted))
        return held.subarray(0, wanted)
      }
      if (socket.readableEnded || socket.destroyed) throw new Error(`the connection ended after ${held.length} bytes`)
      await readableOrOver(socket)
    }
  } finally {
    clearTimeout(patience)
  }
}
