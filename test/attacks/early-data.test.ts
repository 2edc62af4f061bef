// Story: a client sends what it wants in the tunnel right behind its CONNECT, before it knows whether there will be a tunnel
// (TU-04). With the tunnel the bytes go to the origin, after the yes; without it nobody may take them for a request.

import { describe, expect, test } from 'vitest'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

const LOGIN = basic(BOB, PASSWORD)

function connectTo(host: string, port: number, fields = LOGIN): string {
  return `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n${fields}\r\n`
}

describe('TU-04 a refused CONNECT', () => {
  test.each([
    ['without credentials', 'origin.test', '', 407],
    ['with a wrong password', 'origin.test', basic(BOB, 'wrong'), 407],
    ['with another scheme', 'origin.test', 'Proxy-Authorization: Bearer abc\r\n', 407],
    ['to a name that does not exist', 'nowhere.invalid', LOGIN, 502],
  ])('%s closes and never executes what was smuggled behind it', async (_why, host, fields, status) => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway()
    const smuggled = `GET http://origin.test:${origin.port}/smuggled HTTP/1.1\r\nHost: o\r\n${LOGIN}\r\n`

    const client = await RawClient.connect(gateway.port)
    client.send(connectTo(host, origin.port, fields) + smuggled)
    await client.end()

    expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`])
    expect(origin.connections).toBe(0)
    expect(await gateway.recorded(1)).toHaveLength(1)
  })

  test('AU-03 with nothing behind it stays open after a 407, and the second try gets its tunnel (TU-13)', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)

    await client.send(connectTo('origin.test', origin.port, '')).text('407 Proxy Authentication Required')
    expect(client.received).toContain('Proxy-Authenticate: Basic realm="egresslab"')
    await client.text('code: identity.required\n')
    await client.send(connectTo('origin.test', origin.port)).text('200 Connection established\r\n\r\n')
    await client.send('GET / HTTP/1.1\r\n\r\n').text('\r\n\r\nok')

    expect(origin.connections).toBe(1)
  })

  test.each([
    ['a request', 'GET http://origin.test:PORT/ HTTP/1.1\r\nHost: o\r\n\r\n'],
    ['a CONNECT', 'CONNECT origin.test:PORT HTTP/1.1\r\nHost: o\r\n\r\n'],
    ['SOCKS5', '\x05\x01\0\x05\x01\0\x01\x7f\0\0\x01\0\x50'],
    ['SOCKS4', '\x04\x01\0\x50\x7f\0\0\x01\0'],
  ])('that stays open takes nothing without credentials, where the door would: %s', async (_what, bytes) => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway({ listener: { authentication: 'optional' } })
    const client = await RawClient.connect(gateway.port)

    await client.send(connectTo('origin.test', origin.port, basic(BOB, 'wrong'))).text('code: identity.rejected\n')
    await client.send(bytes.replaceAll('PORT', String(origin.port))).end()

    for (const yes of [' 200 ', '\x05\0', '\0\x5a']) expect(client.received).not.toContain(yes)
    expect(origin.connections).toBe(0)
  })

  test('AU-03 plain HTTP works on the connection a 407 left open', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)

    await client.send(connectTo('origin.test', origin.port, '')).text('code: identity.required\n')
    client.send(`GET http://origin.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n${LOGIN}\r\n`)

    await client.text('\r\n\r\nok')
  })
})

describe('TU-04 an accepted CONNECT', () => {
  test('holds early data until the yes is said, whatever the cut, and loses none of it', async () => {
    const origin = await byteLogOrigin((socket, sofar) => {
      if (sofar.length === 5) socket.write('world')
    })
    const gateway = await startGateway()
    const opening = `${connectTo('origin.test', origin.port)}hello`

    for (let cut = 1; cut < opening.length; cut += 5) {
      const client = await RawClient.connect(gateway.port)
      await client.sendInPieces([Buffer.from(opening.slice(0, cut)), Buffer.from(opening.slice(cut))])
      await client.text('world')
      expect(client.received).toBe('HTTP/1.1 200 Connection established\r\n\r\nworld')
      client.socket.destroy()
    }
    expect(origin.received).toMatch(/^(hello)+$/)
  })

  test('TU-05 with an origin that speaks first: its banner never comes before our answer', async () => {
    const { port } = await listen((socket) => socket.write('220 ready\r\n'))
    const gateway = await startGateway()

    for (let round = 0; round < 50; round++) {
      const client = await RawClient.connect(gateway.port)
      await client.send(connectTo('origin.test', port)).text('220 ready\r\n')
      expect(client.received).toBe('HTTP/1.1 200 Connection established\r\n\r\n220 ready\r\n')
      client.socket.destroy()
    }
  })

  test('TU-06 whose client has already finished sending still gets the whole answer', async () => {
    const { port } = await listen((socket) => {
      let sofar = ''
      socket.on('data', (chunk) => {
        sofar += chunk
      })
      socket.on('end', () => socket.end(`you said ${sofar}`))
    })
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)

    client.send(`${connectTo('origin.test', port)}all of it`)
    client.socket.end()
    await client.end()

    expect(client.received).toBe('HTTP/1.1 200 Connection established\r\n\r\nyou said all of it')
    expect(client.ending).toBe('FIN')
  })
})
