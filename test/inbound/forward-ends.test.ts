// Every way an exchange or a kept connection can end, and whom the record names for it: an orderly end is nobody's error.

import type { Socket } from 'node:net'
import { describe, expect, it, test } from 'vitest'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { ENGINES } from '../support/engine.ts'
import { turns } from '../support/engine-streams.ts'
import { authorization, connectH2 } from '../support/h2-client.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, type GatewayOptions, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tlsSource } from '../support/tls.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }
const WHOLE = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const PART = 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart'

type End = readonly [reason: string, code: string | undefined]

/** An origin that says this once a request's head has come; `asked` is its connection then. */
async function origin(text: string) {
  const asked = Promise.withResolvers<Socket>()
  const { port } = await listen((socket) =>
    socket.on('data', (bytes) => {
      if (!bytes.includes('\r\n\r\n')) return
      if (text !== '') socket.write(text)
      asked.resolve(socket)
    }),
  )
  return { port, asked: asked.promise }
}

function endOf(record: SessionRecord | undefined): End {
  return [record?.ConnectionCloseReason ?? '', record?.Lab.error?.code]
}

const fin = (socket: Socket) => socket.end()
const reset = (socket: Socket) => socket.resetAndDestroy()
const nothing = () => {}

type Act = (socket: Socket) => void

/** What an origin says, what the client hears of it, and what the origin does once the client has heard that. */
const BY_ORIGIN: readonly (readonly [what: string, text: string, heard: string, act: Act, end: End])[] = [
  ['FIN while idle', WHOLE, 'ok', fin, ['ORIGIN_CLOSED', undefined]],
  ['RST while idle', WHOLE, 'ok', reset, ['ORIGIN_ERROR', 'relay.origin_reset']],
  [
    '408 and FIN while idle',
    WHOLE,
    'ok',
    (socket) => socket.end('HTTP/1.1 408 Late\r\n\r\n'),
    ['ORIGIN_CLOSED', undefined],
  ],
  [
    'an answer nobody asked for',
    WHOLE,
    'ok',
    (socket) => socket.write(WHOLE),
    ['ORIGIN_ERROR', 'origin.malformed_response'],
  ],
  ['FIN as the end of a body', 'HTTP/1.1 200 OK\r\n\r\nall', 'all', fin, ['ORIGIN_CLOSED', undefined]],
  [
    'Connection: close, FIN',
    WHOLE.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
    'ok',
    fin,
    ['ORIGIN_CLOSED', undefined],
  ],
  [
    'FIN behind the last chunk',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    'a',
    fin,
    ['ORIGIN_CLOSED', undefined],
  ],
  ['FIN inside a body', PART, 'part', fin, ['ORIGIN_ERROR', 'origin.incomplete_response']],
  ['RST inside a body', PART, 'part', reset, ['ORIGIN_ERROR', 'origin.incomplete_response']],
  ['FIN ahead of an answer', '', '', fin, ['ORIGIN_ERROR', 'origin.incomplete_response']],
  ['RST ahead of an answer', '', '', reset, ['ORIGIN_ERROR', 'origin.incomplete_response']],
  ['FIN inside a head', 'HTTP/1.1 200 OK\r\nX', '', fin, ['ORIGIN_ERROR', 'origin.incomplete_response']],
]

const BY_US: readonly (readonly [what: string, text: string, end: End, options: Partial<GatewayOptions>])[] = [
  ['an idle connection', WHOLE, ['CLIENT_IDLE_TIMEOUT', undefined], { settings: { originKeepAliveMs: 50 } }],
  ['no answer', '', ['ORIGIN_ERROR', 'origin.timeout'], { settings: { responseTimeoutMs: 50 } }],
  ['silence inside a body', PART, ['ORIGIN_ERROR', 'origin.timeout'], { idleTimeoutMs: 100 }],
]

describe.each(['HTTP/1', 'HTTP/2'])('%s', (road) => {
  /** Sends a GET; the connection stays. `heard` resolves once this much of the answer's body is there. */
  async function ask(port: number, options: Partial<GatewayOptions> = {}) {
    if (road === 'HTTP/1') {
      const gateway = await startGateway({ ...OPEN, ...options })
      const client = await RawClient.connect(gateway.port)
      client.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o.test\r\n\r\n`)
      const heard = async (body: string) => {
        if (body !== '') await client.until(({ received }) => received.split('\r\n\r\n')[1]?.includes(body) === true)
      }
      return { gateway, heard }
    }
    const source = await tlsSource()
    const gateway = await startGateway({ ...options, settings: { ...options.settings, tlsFor: () => source } })
    const session = await connectH2(gateway.port)
    const stream = session.request({
      ':method': 'GET',
      ':scheme': 'http',
      ':authority': `o.test:${port}`,
      ':path': '/',
      ...authorization({ email: BOB, password: PASSWORD }),
    })
    stream.on('error', nothing)
    let received = ''
    stream.setEncoding('latin1').on('data', (text: string) => (received += text))
    return { gateway, heard: (body: string) => expect.poll(() => received).toContain(body) }
  }

  test.each(BY_ORIGIN)('the origin: %s', async (_what, text, body, act, end) => {
    const { port, asked } = await origin(text)
    const { gateway, heard } = await ask(port)
    const socket = await asked
    await heard(body)
    act(socket)
    expect((await gateway.recorded(1)).map(endOf)).toEqual([end])
  })

  test.each(BY_US)('the proxy: %s', async (_what, text, end, options) => {
    const { gateway } = await ask((await origin(text)).port, options)
    expect((await gateway.recorded(1)).map(endOf)).toEqual([end])
  })

  test('killed by an operator', async () => {
    const { gateway, heard } = await ask((await origin(WHOLE)).port)
    await heard('ok')
    gateway.pipeline.sessions.closeAll('no more')
    expect((await gateway.recorded(1)).map(endOf)).toEqual([['UNKNOWN', 'relay.killed']])
  })
})

describe('the client', () => {
  const get = (port: number) => `GET http://o.test:${port}/ HTTP/1.1\r\nHost: o.test\r\n\r\n`
  const post = (port: number) => `POST http://o.test:${port}/ HTTP/1.1\r\nHost: o.test\r\nContent-Length: 9\r\n\r\npart`

  test.each<[string, (socket: Socket) => void]>([
    ['FIN', fin],
    ['RST', reset],
  ])('%s while idle: one record, and no error', async (_what, leave) => {
    const { port } = await origin(WHOLE)
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(get(port)).text('ok')
    leave(client.socket)
    expect((await gateway.recorded(1)).map(endOf)).toEqual([['CLIENT_CLOSED', undefined]])
    // whoever comes next is served: by then a second record would be there
    const next = await RawClient.connect(gateway.port)
    await next.send(get(port)).text('ok')
    expect(gateway.records).toHaveLength(1)
  })

  test('a client that the proxy let go for its silence: one record, and no error', async () => {
    const { port } = await origin(WHOLE)
    const gateway = await startGateway({ ...OPEN, settings: { keepAliveMs: 50 } })
    const client = await RawClient.connect(gateway.port)
    await client.send(get(port)).end()
    expect((await gateway.recorded(1)).map(endOf)).toEqual([['CLIENT_IDLE_TIMEOUT', undefined]])
  })

  test.each<[string, (socket: Socket) => void, End]>([
    ['FIN', fin, ['CLIENT_ERROR', 'request.malformed']],
    ['RST', reset, ['CLIENT_ERROR', 'relay.client_reset']],
  ])('%s inside its body', async (_what, leave, end) => {
    const arrived = Promise.withResolvers<Socket>()
    const { port } = await listen((socket) =>
      socket.on('data', (bytes) => bytes.includes('part') && arrived.resolve(socket)),
    )
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    client.send(post(port))
    const socket = await arrived.promise
    leave(client.socket)
    expect((await gateway.recorded(1)).map(endOf)).toEqual([end])
    await new Promise((resolve) => (socket.closed ? resolve(undefined) : socket.once('close', resolve)))
  })

  test('RST while it waits for the answer', async () => {
    const { port, asked } = await origin('')
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    client.send(get(port))
    await asked
    reset(client.socket)
    expect((await gateway.recorded(1)).map(endOf)).toEqual([['CLIENT_ERROR', 'relay.client_reset']])
  })

  test('FIN while it waits for the answer: it gets it', async () => {
    const { port, asked } = await origin('')
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await new Promise<void>((sent) => client.send(get(port)).socket.end(sent))
    const socket = await asked
    // the FIN has been sent: some turns later the proxy has read it
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    socket.write(WHOLE)
    await client.end()
    expect(client.received).toMatch(/\r\n\r\nok$/)
    expect((await gateway.recorded(1)).map(endOf)).toEqual([['CLIENT_CLOSED', undefined]])
  })
})

describe.each(ENGINES)('on %s', (_name, engine) => {
  it.each([
    ['says FIN', (socket: Socket) => void socket.end()],
    ['resets', (socket: Socket) => void socket.resetAndDestroy()],
    ['says something and leaves', (socket: Socket) => void socket.end('SSH-2.0-x\r\n')],
  ])('an origin that %s before it is asked anything is a 502 at once', async (_what, leave) => {
    const { port } = await listen(leave)
    const gateway = await startGateway({ engine: connectingLate(engine) })
    const client = await RawClient.connect(gateway.port)
    client.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`)
    await client.text('HTTP/1.1 502 ')
    expect((await gateway.recorded(1))[0]?.Lab.error?.code).toMatch(/^(dial|origin|relay)\./)
  })
})

/** Hands connections on only when what their peer did at once has long arrived. */
function connectingLate(engine: Engine): Engine {
  return {
    name: engine.name,
    sharesPorts: engine.sharesPorts,
    takesBindings: engine.takesBindings,
    listen: (options, onConnection) => engine.listen(options, onConnection),
    bindDatagrams: (at) => engine.bindDatagrams(at),
    close: async () => {},
    dial: (request, listener) =>
      engine.dial(request, {
        onConnect: (stream) => void turns(50).then(() => listener.onConnect(stream)),
        onFailure: (cause) => listener.onFailure(cause),
      }),
  }
}

describe.each(ENGINES)('on %s a client that has ended its side', (_name, engine) => {
  const LIMIT_MS = 600

  interface Asking {
    readonly requests: number
    /** how long the origin takes for each; absent: it says nothing */
    readonly afterMs?: number
    readonly limitMs?: number
    readonly ends?: boolean
    readonly fields?: string
  }

  /** How many answers come to requests that were sent together. */
  async function answersTo({ requests, afterMs, limitMs = LIMIT_MS, ends = true, fields = '' }: Asking) {
    const { port } = await listen((socket) => {
      socket.on('data', () => {
        if (afterMs !== undefined) setTimeout(() => socket.write(WHOLE), afterMs)
      })
    })
    const gateway = await startGateway({ ...OPEN, engine, settings: { responseTimeoutMs: limitMs } })
    const client = await RawClient.connect(gateway.port)
    client.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${fields}\r\n`.repeat(requests))
    if (ends) client.socket.end()
    const count = () => client.received.split('HTTP/1.1 ').length - 1
    await client.until(({ ending }) => ending !== undefined || count() === requests)
    return count()
  }

  it('still gets every answer that comes in time', async () => {
    expect(await answersTo({ requests: 50, afterMs: 0, limitMs: PATIENCE_MS })).toBe(50)
  })

  it('does not keep a silent origin waiting for each of its requests', async () => {
    expect(await answersTo({ requests: 20 })).toBe(1)
  })

  it('nor does one whose requests are too many to be read ahead', async () => {
    expect(await answersTo({ requests: 20, fields: `X-Long: ${'x'.repeat(10_000)}\r\n` })).toBe(1)
  })

  it('waits for slow answers as long as for one, altogether; who has not ended it for as long as for each', async () => {
    const [ended, open] = await Promise.all(
      [true, false].map((ends) => answersTo({ requests: 8, afterMs: LIMIT_MS / 3, ends })),
    )
    expect(ended).toBeLessThanOrEqual(3)
    expect(open).toBe(8)
  })
})
