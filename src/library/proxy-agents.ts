// Dispatchers of undici that go through a proxy and, where it refuses, throw what it said instead of "fetch failed".

import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { SocksClient } from 'socks'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { authorization, type ProxyAccess, proxyAgent, serverName } from '../decider/proxy-client.ts'
import { CONNECTION_ERRORS, type ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { formatTarget } from '../net/endpoint.ts'

export interface ProxyConnections {
  readonly dispatcher: Dispatcher
  /** Closes all connections. */
  close(): Promise<void>
}

type Connect = (host: string, port: number) => Promise<Socket>

/** Through an HTTP proxy: a tunnel for `https:`, absolute form for `http:`. */
export function httpProxyAgent(access: ProxyAccess): ProxyConnections {
  const tunnels = tunnelAgent(access, (host, port) => openConnect(access, host, port))
  const plain = proxyAgent(access)
  const dispatcher = plain.compose(
    (dispatch) => (options, handler) =>
      String(options.origin).startsWith('https:') ? tunnels.dispatch(options, handler) : dispatch(options, handler),
  )
  return { dispatcher, close: async () => void (await Promise.all([tunnels.destroy(), plain.destroy()])) }
}

/** Through SOCKS5. undici's own agent for it prints a warning that it is experimental. */
export function socksAgent(access: ProxyAccess): ProxyConnections {
  const agent = tunnelAgent(access, (host, port) => openSocks(access, host, port))
  return { dispatcher: agent, close: () => agent.destroy() }
}

/** What the proxy said, somewhere among the causes of what was thrown; undefined: something else went wrong. */
export function refusalIn(thrown: unknown): GatewayError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof GatewayError) return error
    // of undici's agent for absolute form, which shows nothing else of the answer
    if (error.message.includes('(407)')) return new GatewayError('identity.rejected', REFUSED_CREDENTIALS)
  }
  return undefined
}

const REFUSED_CREDENTIALS = 'the proxy does not accept the user name and password'

function tunnelAgent({ authority }: ProxyAccess, open: Connect): Agent {
  const secure = buildConnector(authority === undefined ? {} : { ca: authority })
  return new Agent({
    connect(options, callback) {
      const { hostname, protocol } = options
      const port = Number(options.port) || (protocol === 'https:' ? 443 : 80)
      open(hostname.replace(/^\[|\]$/g, ''), port).then(
        (socket) =>
          protocol === 'https:' ? secure({ ...options, httpSocket: socket }, callback) : callback(null, socket),
        (thrown: Error) => callback(thrown, null),
      )
    },
  })
}

/** RFC 9110 section 9.3.6. Throws a GatewayError for an answer other than 200. */
function openConnect(access: ProxyAccess, name: string, port: number): Promise<Socket> {
  const { proxy, authority } = access
  const path = formatTarget({ kind: 'name', name, port })
  const request = (proxy.tls === true ? httpsRequest : httpRequest)({
    host: proxy.host,
    port: proxy.port,
    method: 'CONNECT',
    path,
    headers: { host: path, ...authorization(access) },
    agent: false,
    ...(proxy.tls === true ? { ...serverName(access), ...(authority === undefined ? {} : { ca: authority }) } : {}),
  })
  return new Promise((resolve, reject) => {
    request.once('error', reject)
    request.once('connect', (answer, socket) => {
      if (answer.statusCode === 200) return resolve(socket as Socket)
      socket.destroy()
      reject(refusal(answer))
    })
    request.end()
  })
}

/** By the parameters of Proxy-Status (RFC 9209), where it is ours. */
function refusal({ statusCode = 0, statusMessage, headers }: IncomingMessage): GatewayError {
  const status = String(headers['proxy-status'] ?? '')
  const [code = '', message = `the proxy answered ${statusCode} ${statusMessage}`] = ['code', 'details'].map((name) =>
    new RegExp(`; ${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(status)?.[1]?.replace(/\\(.)/g, '$1'),
  )
  return new GatewayError(isKnown(code) ? code : 'internal.invariant', message, { details: { status: statusCode } })
}

function isKnown(code: string): code is ConnectionErrorCode {
  return Object.hasOwn(CONNECTION_ERRORS, code)
}

/** RFC 1928, 1929. Throws a GatewayError for a refusal. */
async function openSocks({ proxy, credentials }: ProxyAccess, host: string, port: number): Promise<Socket> {
  const login = credentials && { userId: credentials.username, password: credentials.password }
  try {
    const { socket } = await SocksClient.createConnection({
      proxy: { host: proxy.host, port: proxy.port, type: 5, ...login },
      command: 'connect',
      destination: { host, port },
    })
    return socket
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown
    // its `options` hold the password, and what is thrown is printed
    const isLogin = thrown.message.includes('Authentication failed')
    if (isLogin) throw new GatewayError('identity.rejected', REFUSED_CREDENTIALS)
    throw new Error(`the proxy refused: ${thrown.message}`)
  }
}
