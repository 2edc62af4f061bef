// Clients that leave at any stage of any protocol, or end their side and stay: no descriptor of theirs is left, nor of what was dialled for
// them, no port, and every dial has its record.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { cidr } from '../../src/net/cidr.ts'
import { ENGINES } from '../support/engine.ts'
import { PATIENCE_MS, PATIENT } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { silentOrigin } from '../support/silent-origin.ts'
import { BOB, EGRESS, type GatewayOptions, PASSWORD, startGateway, type TestGateway } from '../support/start-gateway.ts'
import { dialPlain, listen, ownConnections } from '../support/tcp.ts'
import { testTls, tlsSource } from '../support/tls.ts'

/** Where the client has got to. */
interface Stage {
  readonly name: string
  readonly options?: GatewayOptions
  /** Brings a client there; the connection that it leaves. */
  readonly reach: (there: There) => Promise<Socket>
}

interface There {
  readonly gateway: TestGateway
  /** of the proxy */
  readonly port: number
  /** an origin that reads and says nothing */
  readonly origin: number
  /** a port that answers no connection */
  readonly silent: number
}

const LIMIT_MS = 2_000
/** where BOB's connections leave from */
const BOUND = EGRESS[BOB]?.bound
const LOGIN = basic(BOB, PASSWORD)
const SOCKS5_LOGIN = Buffer.concat([
  Buffer.of(5, 1, 2, 1, BOB.length),
  Buffer.from(BOB),
  Buffer.of(PASSWORD.length),
  Buffer.from(PASSWORD),
])
const PLAIN: GatewayOptions = {}
const CROWDED: GatewayOptions = { settings: { maxClients: 0 } }
/** where every dial hangs */
const DIALLING: GatewayOptions = { idleTimeoutMs: LIMIT_MS }
const BEHIND_BALANCER: GatewayOptions = { listener: { proxyProtocol: { from: [cidr('127.0.0.0/8')] } } }
const PROXY_LINE = 'PROXY TCP4 127.0.0.9 127.0.0.1 4000 80\r\n'

function connectHead(port: number, fields = LOGIN): string {
  return `CONNECT o.test:${port} HTTP/1.1\r\nHost: o\r\n${fields}\r\n`
}

function getHead(port: number, method = 'GET', fields = ''): string {
  return `${method} http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${LOGIN}${fields}\r\n`
}

function socks5Request(command: number, port: number): Buffer {
  return Buffer.concat([Buffer.of(5, command, 0, 1, 127, 0, 0, 1), Buffer.of(port >> 8, port & 255)])
}

/** After these words, which nobody answers yet. */
function saying(name: string, words: (there: There) => string | Uint8Array, options: GatewayOptions = PLAIN): Stage {
  return {
    name,
    options,
    reach: async (there) => {
      const socket = await dialPlain(there.port)
      const said = words(there)
      if (said.length > 0) await written(socket, said)
      return socket
    },
  }
}

/** After these words, whose dial hangs: at a listener that takes nobody any more. */
function dialling(stage: Stage): Stage {
  return {
    ...stage,
    options: DIALLING,
    reach: async (there) => {
      const socket = await stage.reach(there)
      const { leases, records } = there.gateway
      await vi.waitFor(() => expect(leases.counts().active + records.length).toBe(DIALS.length), PATIENT)
      return socket
    },
  }
}

/** After these words were answered with this. */
function answered(name: string, answer: string, words: (there: There) => readonly (string | Uint8Array)[]): Stage {
  return {
    name,
    reach: async (there) => {
      const client = await RawClient.connect(there.port)
      for (const word of words(there)) client.send(word)
      // on a busy machine the proxy may have lost its patience before
      await client.until(({ received, ending }) => received.includes(answer) || ending !== undefined)
      return client.socket
    },
  }
}

/** After a TLS handshake, and these words within. */
function secured(name: string, protocol: string, words: (there: There) => string | Uint8Array): Stage {
  return {
    name,
    reach: async (there) => {
      const socket = await dialPlain(there.port)
      const { authority } = await testTls()
      const secure = connectTls({
        socket,
        ca: authority.certificate,
        ALPNProtocols: [protocol],
        servername: 'localhost',
      })
      secure.on('error', () => {})
      await once(secure, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) })
      const said = words(there)
      if (said.length > 0) await new Promise<void>((resolve) => secure.write(said, () => resolve()))
      return socket
    },
  }
}

const H2_PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
])

/** while the connection to the origin is being made */
const DIALS: readonly Stage[] = [
  saying('while a CONNECT is dialled', ({ silent }) => connectHead(silent)),
  saying('while SOCKS5 is dialled', ({ silent }) => Buffer.concat([SOCKS5_LOGIN, socks5Request(1, silent)])),
  saying('while a request is dialled', ({ silent }) => getHead(silent)),
  saying('with bytes behind a CONNECT that is dialled', ({ silent }) => `${connectHead(silent)}${'x'.repeat(100_000)}`),
  secured('while a CONNECT through TLS is dialled', 'http/1.1', ({ silent }) => connectHead(silent)),
  saying(
    'while a request with a body is dialled',
    ({ silent }) => `${getHead(silent, 'POST', 'Content-Length: 10\r\n')}12345`,
  ),
  secured('while a request through TLS is dialled', 'http/1.1', ({ silent }) => getHead(silent)),
].map(dialling)

const STAGES: readonly Stage[] = [
  ...DIALS,
  saying('before its first byte', () => ''),
  saying('inside a protocol that cannot be told yet', () => 'CONN'),
  saying('inside the head of a CONNECT', ({ origin }) => connectHead(origin).slice(0, 40)),
  saying('inside the head of a request', ({ origin }) => getHead(origin).slice(0, 40)),
  saying('inside a SOCKS5 greeting', () => Buffer.of(5, 2)),
  saying('inside a SOCKS5 login', () => SOCKS5_LOGIN.subarray(0, 8)),
  saying('inside a SOCKS4 request', () => Buffer.of(4, 1, 0, 80, 127)),
  saying('inside a TLS hello', () => Buffer.of(0x16, 3, 1, 2, 0, 1, 0)),
  saying('with a TLS hello that is none', () => Buffer.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0)),
  saying('before an origin answers', ({ origin }) => getHead(origin)),
  saying('behind pipelined requests', ({ origin }) => getHead(origin, 'OPTIONS', 'Max-Forwards: 0\r\n').repeat(5_000)),
  saying('inside the body of a request', ({ origin }) => `${getHead(origin, 'POST', 'Content-Length: 10\r\n')}12345`),
  saying('inside a chunk size', ({ origin }) => `${getHead(origin, 'POST', 'Transfer-Encoding: chunked\r\n')}1`),
  saying('inside the header of a balancer', () => PROXY_LINE.slice(0, 20), BEHIND_BALANCER),
  saying('behind the header of a balancer', () => PROXY_LINE, BEHIND_BALANCER),
  saying('inside a CONNECT behind that', ({ origin }) => PROXY_LINE + connectHead(origin).slice(0, 9), BEHIND_BALANCER),
  saying('beyond the limit of clients, before its first byte', () => '', CROWDED),
  saying('beyond it, inside a protocol that cannot be told yet', () => 'CONN', CROWDED),
  saying('beyond it, with a CONNECT', ({ origin }) => connectHead(origin), CROWDED),
  saying('beyond it, with SOCKS5', () => SOCKS5_LOGIN, CROWDED),
  saying('beyond it, with TLS', () => Buffer.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0), CROWDED),
  answered('in a tunnel', ' 200 ', ({ origin }) => [connectHead(origin)]),
  answered('in a tunnel with bytes on their way', ' 200 ', ({ origin }) => [connectHead(origin), 'x'.repeat(100_000)]),
  answered('after a 407 to a CONNECT', ' 407 ', ({ origin }) => [connectHead(origin, '')]),
  answered('after a 407 to a request', ' 407 ', ({ origin }) => [getHead(origin).replace(LOGIN, '')]),
  answered('after a CONNECT was refused', ' 502 ', () => [connectHead(1)]),
  answered('after a malformed head', ' 400 ', () => ['GET http://o.test/ HTTP/1.1\r\n : \r\n\r\n']),
  answered('after a SOCKS5 login', '\x05\x02\x01\x00', () => [SOCKS5_LOGIN]),
  answered('in an association for datagrams', '\x05\x02\x01\x00\x05\x00', () => [SOCKS5_LOGIN, socks5Request(3, 0)]),
  secured('after a TLS handshake', 'http/1.1', () => ''),
  secured('inside a request through TLS', 'http/1.1', ({ origin }) => getHead(origin).slice(0, 40)),
  secured('before an origin answers through TLS', 'http/1.1', ({ origin }) => getHead(origin)),
  secured('behind pipelined requests through TLS', 'http/1.1', ({ origin }) =>
    getHead(origin, 'OPTIONS', 'Max-Forwards: 0\r\n').repeat(5_000),
  ),
  secured('in a tunnel through TLS', 'http/1.1', ({ origin }) => connectHead(origin)),
  secured('after an HTTP/2 handshake', 'h2', () => ''),
  secured('inside the preface of HTTP/2', 'h2', () => H2_PREFACE.subarray(0, 10)),
  secured('between two requests of HTTP/2', 'h2', () => H2_PREFACE),
]

const LEAVES: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['ends its side and stays', (socket) => void socket.end()],
  ['ends its side, stays and does not read', (socket) => void socket.pause().end()],
  ['closes', (socket) => void socket.destroy()],
  ['resets', (socket) => void socket.resetAndDestroy()],
]

describe.each(ENGINES)('on %s no descriptor is left of a client', (_name, engine) => {
  it.each(LEAVES)('that %s, at any stage of any protocol', async (_how, leave) => {
    const [source, silent, origin] = await Promise.all([
      tlsSource(),
      silentOrigin('127.0.0.1'),
      listen((socket) => void socket.resume()),
    ])
    const timeouts = { handshakeTimeoutMs: LIMIT_MS, keepAliveMs: LIMIT_MS, responseTimeoutMs: LIMIT_MS }
    const gatewayFor = memoised(({ settings, ...options }: GatewayOptions) =>
      startGateway({
        engine,
        udp: {},
        idleTimeoutMs: LIMIT_MS,
        connectTimeoutMs: LIMIT_MS,
        ...options,
        settings: { tlsFor: () => source, bodyIdleMs: LIMIT_MS, ...timeouts, ...settings },
      }),
    )
    const stages = new Map<number, string>()
    await Promise.all(
      STAGES.map(async ({ name, options = PLAIN, reach }) => {
        const gateway = await gatewayFor(options)
        const socket = await reach({ gateway, port: gateway.port, origin: origin.port, silent })
        onTestFinished(() => void socket.destroy())
        stages.set(socket.localPort ?? 0, name)
        leave(socket)
      }),
    )
    const gateways = await Promise.all([PLAIN, DIALLING, CROWDED, BEHIND_BALANCER].map(gatewayFor))
    const ports = gateways.map(({ port }) => port)
    const left = () =>
      ownConnections()
        .filter(({ localPort }) => ports.includes(localPort))
        .map(({ remotePort, state }) => `${stages.get(remotePort)}: ${state}`)
    await vi.waitFor(() => expect(left()).toEqual([]), PATIENT)
    const dialled = () => ownConnections().filter(({ local, remotePort }) => local === BOUND && remotePort === silent)
    await vi.waitFor(() => expect(dialled()).toEqual([]), PATIENT)
    const held = () =>
      gateways.map(({ gateway, leases, pipeline }) => [
        gateway.clients,
        leases.counts().active,
        pipeline.counts().active,
      ])
    await vi.waitFor(() => expect(held()).toEqual(gateways.map(() => [0, 0, 0])), PATIENT)
    const ends = (await gatewayFor(DIALLING)).records.map(({ Lab }) => Lab.error?.code ?? '')
    expect(ends).toHaveLength(DIALS.length)
    for (const code of ends) expect(['relay.client_reset', 'dial.timeout']).toContain(code)
  })
})

function memoised<Key extends object, Made>(make: (key: Key) => Made): (key: Key) => Made {
  const made = new Map<Key, Made>()
  return (key) => {
    const known = made.get(key) ?? make(key)
    made.set(key, known)
    return known
  }
}

function written(socket: Socket, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()))
}
