// One operation of load against a proxy, by raw sockets: a tunnel opened, one small exchange, closed; or requests in
// absolute-form on one connection.

import { connect, type Socket } from 'node:net'
import { type Endpoint, formatEndpoint } from '../../net/endpoint.ts'
import { fromIpv4Number } from '../../net/ip.ts'
import { ANSWER } from './origin-process.ts'

export interface ProxyUnderTest {
  readonly proxy: Endpoint
  readonly origin: Endpoint
  /** absent: no credentials are sent */
  readonly credentials?: { readonly username: string; readonly password: string }
}

export type TunnelKind = 'connect' | 'socks5'

const REQUEST = 'GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n'

/** Opens a tunnel; resolves with the socket once the proxy said it is open. */
export async function openTunnel(kind: TunnelKind, subject: ProxyUnderTest): Promise<Socket> {
  const socket = await dial(subject.proxy)
  try {
    await (kind === 'connect' ? connectThrough(socket, subject) : socksThrough(socket, subject))
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** A tunnel opened, one request answered, closed. */
export async function tunnelOnce(kind: TunnelKind, subject: ProxyUnderTest): Promise<void> {
  const socket = await openTunnel(kind, subject)
  socket.write(REQUEST)
  await receive(socket, (bytes) => bytes.length >= ANSWER.length)
  const closed = once(socket, 'close')
  socket.end()
  await closed
}

/** A connection that sends absolute-form requests one after another. */
export interface RequestConnection {
  request(): Promise<void>
  close(): void
}

/** Connects for absolute-form requests through the proxy, or for origin-form requests straight to the origin. */
export async function openRequests(subject: ProxyUnderTest, straight = false): Promise<RequestConnection> {
  const socket = await dial(straight ? subject.origin : subject.proxy)
  const authority = formatEndpoint(subject.origin)
  const head = straight
    ? `GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
    : `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${authorization(subject)}\r\n`
  const bytes = Buffer.from(head, 'latin1')
  return {
    async request() {
      socket.write(bytes)
      const answer = await receive(socket, isWholeAnswer)
      if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`the proxy answered \`${answer.slice(0, 40)}\``)
    },
    close: () => socket.destroy(),
  }
}

function isWholeAnswer(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /content-length: *(\d+)/i.exec(text.slice(0, end))?.[1]
  return length === undefined
    ? text.endsWith('0\r\n\r\n') && text.length > end + 4
    : text.length >= end + 4 + Number(length)
}

async function connectThrough(socket: Socket, subject: ProxyUnderTest): Promise<void> {
  const authority = formatEndpoint(subject.origin)
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization(subject)}\r\n`)
  const answer = await receive(socket, (text) => text.includes('\r\n\r\n'))
  if (!/^HTTP\/1\.[01] 200/.test(answer)) throw new Error(`the proxy answered \`${answer.slice(0, 60)}\``)
}

/** Opens a SOCKS5 UDP association; it lasts as long as the control connection. */
export async function associate(
  subject: ProxyUnderTest,
): Promise<{ readonly control: Socket; readonly relay: Endpoint }> {
  const control = await dial(subject.proxy)
  try {
    await greetSocks(control, subject)
    control.write(Buffer.from([5, 3, 0, 1, 0, 0, 0, 0, 0, 0]))
    const reply = Buffer.from(await expectReply(control, 10, (text) => text.charCodeAt(1) === 0), 'latin1')
    return { control, relay: { ip: fromIpv4Number(reply.readUInt32BE(4)), port: reply.readUInt16BE(8) } }
  } catch (error) {
    control.destroy()
    throw error
  }
}

async function socksThrough(socket: Socket, subject: ProxyUnderTest): Promise<void> {
  await greetSocks(socket, subject)
  const { origin } = subject
  const [address] = origin.ip.words
  const request = Buffer.from([5, 1, 0, 1, 0, 0, 0, 0, 0, 0])
  request.writeUInt32BE(address ?? 0, 4)
  request.writeUInt16BE(origin.port, 8)
  socket.write(request)
  await expectReply(socket, 10, (reply) => reply.charCodeAt(1) === 0)
}

async function greetSocks(socket: Socket, { credentials }: ProxyUnderTest): Promise<void> {
  socket.write(Buffer.from([5, 1, credentials === undefined ? 0 : 2]))
  await expectReply(socket, 2, (reply) => reply.charCodeAt(1) !== 0xff)
  if (credentials !== undefined) {
    const user = Buffer.from(credentials.username)
    const password = Buffer.from(credentials.password)
    socket.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([password.length]), password]))
    await expectReply(socket, 2, (reply) => reply.charCodeAt(1) === 0)
  }
}

async function expectReply(socket: Socket, length: number, good: (reply: string) => boolean): Promise<string> {
  const reply = await receive(socket, (text) => text.length >= length)
  if (!good(reply)) throw new Error(`the proxy answered SOCKS reply ${reply.charCodeAt(1)}`)
  return reply
}

function authorization({ credentials }: ProxyUnderTest): string {
  if (credentials === undefined) return ''
  const token = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')
  return `Proxy-Authorization: Basic ${token}\r\n`
}

/** Clients come from these in turn, or their own ports in TIME_WAIT would run out before the proxy does. */
export const CLIENT_ADDRESSES: readonly string[] = Array.from({ length: 200 }, (_, at) => `127.3.0.${at + 1}`)
let clients = 0
function nextClient(): string {
  clients = (clients + 1) % CLIENT_ADDRESSES.length
  return CLIENT_ADDRESSES[clients] ?? ''
}

function dial({ ip, port }: Endpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: ip.text,
      port,
      noDelay: true,
      ...(ip.family === 4 ? { localAddress: nextClient() } : {}),
    })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}

/** Collects bytes (one code unit each) until they suffice. */
function receive(socket: Socket, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const done = () => {
      socket.off('data', onData)
      socket.off('close', onClose)
    }
    const onData = (data: Buffer) => {
      text += data.toString('latin1')
      if (!enough(text)) return
      done()
      resolve(text)
    }
    const onClose = () => {
      done()
      reject(new Error(`the connection closed after ${text.length} bytes`))
    }
    socket.on('data', onData)
    socket.on('close', onClose)
  })
}

function once(socket: Socket, event: 'close'): Promise<void> {
  return new Promise((resolve) => {
    socket.once(event, () => resolve())
  })
}
