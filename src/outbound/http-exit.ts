// Asks an HTTP proxy for a tunnel (CONNECT, RFC 9110 section 9.3.6), so that the connection leaves from where that proxy is.
// undici reads and writes the messages, and puts what came behind the answer back into the socket.

import type { Socket } from 'node:net'
import { Client, errors } from 'undici'
import type { ConfiguredExit } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'

const MAX_HEAD_BYTES = 16 * 1024

/** Runs the handshake on a connected socket. Throws GatewayError `egress.exit_refused`, `egress.exit_failed`; other errors are
 *  the socket's. `where` describes the destination. */
export async function enterHttp(
  socket: Socket,
  exit: ConfiguredExit,
  destination: Endpoint,
  where: string,
): Promise<void> {
  const client = new Client('http://exit', {
    // undici does not look again after a connector that answers in the same turn
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
    status === 407
      ? 'does not accept the user name and password'
      : `does not open a tunnel to ${where} (it answers ${status})`
  throw new GatewayError('egress.exit_refused', `the exit ${exit.text} ${what}`)
}

async function ask(client: Client, authority: string, { login, text }: ConfiguredExit, where: string): Promise<number> {
  const headers = { host: authority, ...(login === undefined ? {} : { 'proxy-authorization': basic(login) }) }
  try {
    const { statusCode } = await client.connect({ path: authority, headers })
    return statusCode
  } catch (cause) {
    if (!(cause instanceof errors.UndiciError)) throw cause
    const message = `the exit ${text} gives no proper answer about ${where}: ${cause.message}`
    throw new GatewayError('egress.exit_failed', message, { cause })
  }
}

function basic({ username, password }: NonNullable<ConfiguredExit['login']>): string {
  return `Basic ${Buffer.from(`${username}:${password.reveal()}`).toString('base64')}`
}
