// Connects through upstream proxies (SOCKS5 and HTTP CONNECT), so that a connection leaves from where the proxy is.
// SOCKS5 is implemented here because the reply code is needed, and bytes right behind the reply must not be lost.

import type { Socket } from 'node:net'
import type { Client } from 'undici'
import type { ConfiguredExit } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'

const NO_AUTHENTICATION = 0x00
const USER_PASSWORD = 0x02

/** Runs the SOCKS5 handshake on a connected socket (RFC 1928, RFC 1929). Rejects with GatewayError
 *  `egress.exit_refused`, `egress.exit_failed` or, where the reply is about the destination, `dial.*`; other errors are
 *  the socket's. `where` describes the destination. */
export async function enterSocks5(
  socket: Socket,
  exit: ConfiguredExit,
  destination: Endpoint,
  where: string,
): Promise<void> {
  const methods = exit.login === undefined ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_PASSWORD]
  socket.write(Buffer.of(0x05, methods.length, ...methods))
  const [version, method] = await readExactly(socket, 2)
  if (version !== 0x05) throw failed(exit, 'does not speak SOCKS5')
  if (method === USER_PASSWORD && exit.login !== undefined) await logIn(socket, exit, exit.login)
  else if (method !== NO_AUTHENTICATION) throw refused(exit, 'requires an authentication method that is not supported')
  socket.write(request(destination))
  const [replyVersion, code = 1, , kind, first = 0] = await readExactly(socket, 5)
  if (replyVersion !== 0x05) throw failed(exit, 'does not speak SOCKS5')
  // the first byte of the bound address is read already; two bytes of port follow it
  const rest = { 1: 3, 3: first, 4: 15 }[kind ?? 0]
  if (code !== 0) throw refusal(code, exit, where)
  if (rest === undefined) throw failed(exit, 'replied with an unknown address type')
  await readExactly(socket, rest + 2)
}

async function logIn(socket: Socket, exit: ConfiguredExit, login: NonNullable<ConfiguredExit['login']>): Promise<void> {
  const name = Buffer.from(login.username)
  const password = Buffer.from(login.password.reveal())
  socket.write(Buffer.concat([Buffer.of(0x01, name.length), name, Buffer.of(password.length), password]))
  const [, status] = await readExactly(socket, 2)
  if (status !== 0) throw refused(exit, 'rejected the user name and password')
}

function request({ ip, port }: Endpoint): Buffer {
  const bytes = Buffer.alloc(4 + ip.words.length * 4 + 2)
  bytes[0] = 0x05
  bytes[1] = 0x01
  bytes[3] = ip.family === 4 ? 0x01 : 0x04
  for (const [at, word] of ip.words.entries()) bytes.writeUInt32BE(word, 4 + at * 4)
  bytes.writeUInt16BE(port, bytes.length - 2)
  return bytes
}

/** RFC 1928 section 6: 03 to 06 are about the destination, the rest about the exit. */
function refusal(code: number, exit: ConfiguredExit, where: string): GatewayError {
  const by = `through the exit ${exit.text}`
  switch (code) {
    case 0x02:
      return refused(exit, `does not allow a connection to ${where}`)
    case 0x03:
    case 0x04:
      return new GatewayError('dial.unreachable', `${where} is unreachable ${by}`)
    case 0x05:
      return new GatewayError('dial.refused', `${where} refused the connection ${by}`)
    case 0x06:
      return new GatewayError('dial.timeout', `${where} did not answer ${by}`)
    default:
      return failed(exit, `could not connect to ${where} (SOCKS reply ${code})`)
  }
}

function refused(exit: ConfiguredExit, what: string): GatewayError {
  return new GatewayError('egress.exit_refused', `the exit ${exit.text} ${what}`)
}

function failed(exit: ConfiguredExit, what: string): GatewayError {
  return new GatewayError('egress.exit_failed', `the exit ${exit.text} ${what}`)
}

const MAX_HEAD_BYTES = 16 * 1024

/** Runs the CONNECT handshake on a connected socket (RFC 9110 section 9.3.6). Rejects with GatewayError
 *  `egress.exit_refused`, `egress.exit_failed`; other errors are the socket's. `where` describes the destination. */
export async function enterHttp(
  socket: Socket,
  exit: ConfiguredExit,
  destination: Endpoint,
  where: string,
): Promise<void> {
  const { Client: HttpClient } = await import('undici')
  const client = new HttpClient('http://exit', {
    // undici misses a connector that calls back in the same turn
    connect: (_options, done) => queueMicrotask(() => done(null, socket)),
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const authority = formatEndpoint(destination)
  const status = await ask(client, authority, exit, where)
  if (status >= 200 && status < 300) return
  socket.destroy()
  const what =
    status === 407 ? 'rejected the user name and password' : `does not open a tunnel to ${where} (status ${status})`
  throw new GatewayError('egress.exit_refused', `the exit ${exit.text} ${what}`)
}

async function ask(client: Client, authority: string, { login, text }: ConfiguredExit, where: string): Promise<number> {
  const headers = { host: authority, ...(login === undefined ? {} : { 'proxy-authorization': basic(login) }) }
  try {
    const { statusCode } = await client.connect({ path: authority, headers })
    return statusCode
  } catch (cause) {
    const { errors } = await import('undici')
    if (!(cause instanceof errors.UndiciError)) throw cause
    const message = `the exit ${text} sent a malformed response for ${where}: ${cause.message}`
    throw new GatewayError('egress.exit_failed', message, { cause })
  }
}

function basic({ username, password }: NonNullable<ConfiguredExit['login']>): string {
  return `Basic ${Buffer.from(`${username}:${password.reveal()}`).toString('base64')}`
}

/** Reads exactly `count` bytes. Rejects with the socket's error, or an Error when it ends first. Nobody else may be
 *  reading. */
export function readExactly(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (how: () => void) => {
      socket.off('readable', look)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      socket.off('error', onError)
      how()
    }
    const onError = (error: Error) => settle(() => reject(error))
    const onEnd = () => settle(() => reject(new Error('it closed the connection in the middle of its reply')))
    const look = () => {
      const bytes: Buffer | null = socket.readableLength >= count ? socket.read(count) : socket.read(0)
      if (bytes !== null && bytes.length === count) settle(() => resolve(bytes))
    }
    socket.on('readable', look)
    socket.once('end', onEnd)
    socket.once('close', onEnd)
    socket.once('error', onError)
    look()
  })
}
