// The connection to the NATS servers of a fleet, which comes back by itself; and NATS's libraries, which are loaded where there is a fleet
// and nowhere else.

import { readFileSync } from 'node:fs'
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node'
import type { FleetSettings } from '../config/lab-config.ts'
import { inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { FleetIdentity } from './log-message.ts'

/** What NATS's libraries export. */
export async function natsLibrary(): Promise<NatsLibrary> {
  const [core, stream] = await Promise.all([import('@nats-io/transport-node'), import('@nats-io/jetstream')])
  return { ...core, ...stream }
}
export type NatsLibrary = typeof import('@nats-io/transport-node') & typeof import('@nats-io/jetstream')

export interface FleetLogParts {
  readonly settings: FleetSettings
  readonly identity: FleetIdentity
  /** names this start of the member */
  readonly file: string
}

const CONNECT_MS = 5_000
const PING_EVERY_MS = 2_000
const RECONNECT_MS = 250

/** Throws InputError `fleet.unreachable`, `fleet.login_refused`, `fleet.file_unreadable`. */
export async function connectNats(nats: NatsLibrary, { settings, file }: FleetLogParts): Promise<NatsConnection> {
  const { servers, login, credentialsFile, serverAuthorityFile, name, member } = settings
  const isSecured = serverAuthorityFile !== undefined || servers.some((url) => url.startsWith('tls://'))
  const options: NodeConnectionOptions = {
    servers: servers.map((url) => url.replace(/^(nats|tls):\/\//, '')),
    name: `egresslab ${member} of ${name}`,
    timeout: CONNECT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    pingInterval: PING_EVERY_MS,
    maxPingOut: 2,
    ignoreAuthErrorAbort: true,
    ...(login === undefined ? {} : { user: login.user, pass: login.password.reveal() }),
    ...(credentialsFile === undefined
      ? {}
      : { authenticator: nats.credsAuthenticator(readText(credentialsFile, file)) }),
    ...(isSecured
      ? { tls: serverAuthorityFile === undefined ? {} : { ca: String(readText(serverAuthorityFile, file)) } }
      : {}),
  }
  try {
    return await nats.connect(options)
  } catch (thrown) {
    const where = servers.map((url) => `\`${url}\``).join(', ')
    if (thrown instanceof nats.AuthorizationError) {
      const why = `the NATS servers at ${where} refuse this member's login: ${messageOf(thrown)}`
      throw inputError('fleet.login_refused', why, { file, hint: 'look at `fleet.login` or `fleet.credentials`' })
    }
    const hint = 'start NATS with `nats-server -js`, or name other servers in `fleet.servers`'
    throw inputError('fleet.unreachable', `no NATS server at ${where}: ${messageOf(thrown)}`, { file, hint })
  }
}

function readText(path: string, file: string): Buffer {
  try {
    return readFileSync(path)
  } catch (thrown) {
    throw inputError('fleet.file_unreadable', `cannot read \`${path}\`: ${messageOf(thrown)}`, { file })
  }
}
