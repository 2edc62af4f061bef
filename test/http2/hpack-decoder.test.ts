// The HPACK decoder against the examples of RFC 7541 appendix C, and against what Node's own encoder makes of random fields.

import { once } from 'node:events'
import { type ClientHttp2Session, connect, sensitiveHeaders } from 'node:http2'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts'
import { HpackError } from '../../src/http2/hpack-tables.ts'
import { fragmentOf, HEADERS, makeFrame, PREFACE } from '../../src/http2/request-inspector.ts'
import { listen } from '../support/tcp.ts'

const SETTINGS = 0x4

function read(decoder: HpackDecoder, hex: string): string[] {
  const fields: string[] = []
  decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), ({ name, value }) => fields.push(`${name}: ${value}`))
  return fields
}

const GET = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']
const NO_CACHE = [...GET, 'cache-control: no-cache']
const CUSTOM = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
]

describe('RFC 7541 appendix C', () => {
  test.each([
    ['C.2.1', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 'custom-key: custom-header', 55],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path', 0],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret', 0],
    ['C.2.4', '82', ':method: GET', 0],
  ])('%s', (_where, hex, field, bytes) => {
    const decoder = new HpackDecoder(4096)
    expect(read(decoder, hex)).toEqual([field])
    expect(decoder.tableBytes).toBe(bytes)
  })

  test.each([
    [
      'C.3, requests without Huffman coding',
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
    ],
    [
      'C.4, requests with Huffman coding',
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
    ],
  ])('%s', (_where, [first = '', second = '', third = '']) => {
    const decoder = new HpackDecoder(4096)
    expect(read(decoder, first)).toEqual(GET)
    expect(decoder.tableBytes).toBe(57)
    expect(read(decoder, second)).toEqual(NO_CACHE)
    expect(decoder.tableBytes).toBe(110)
    expect(read(decoder, third)).toEqual(CUSTOM)
    expect(decoder.tableBytes).toBe(164)
  })

  test('C.6, a table of 256 bytes that evicts', () => {
    const decoder = new HpackDecoder(256)
    const first = [
      ':status: 302',
      'cache-control: private',
      'date: Mon, 21 Oct 2013 20:13:21 GMT',
      'location: https://www.example.com',
    ]
    const hex =
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3'
    expect(read(decoder, hex)).toEqual(first)
    expect(decoder.tableBytes).toBe(222)
    expect(read(decoder, '4883 640e ffc1 c0bf')).toEqual([':status: 307', ...first.slice(1)])
    expect(decoder.tableBytes).toBe(222)
    const third =
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07'
    expect(read(decoder, third)).toEqual([
      ':status: 200',
      'cache-control: private',
      'date: Mon, 21 Oct 2013 20:13:22 GMT',
      'location: https://www.example.com',
      'content-encoding: gzip',
      'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ])
    expect(decoder.tableBytes).toBe(215)
  })
})

describe('what cannot be decoded', () => {
  test.each([
    ['index 0', '80'],
    ['an index beyond the tables', 'be'],
    ['an index far beyond the tables', 'ffffffff07'],
    ['an integer without end', 'ffffffffffffffff'],
    ['an integer that is padded without end', 'ff80808080808080808000'],
    ['a string beyond the block', '00 05 6162'],
    ['a name without a value', '00 01 61'],
    ['EOS in a string', '00 84 ffffffff 00'],
    ['padding of a whole byte', '00 82 1fff 00'],
    ['padding with zeros', '00 81 18 00'],
    ['a table larger than announced', '3fe21f'],
    ['a size change behind a field', '82 20'],
  ])('%s', (_what, hex) => {
    expect(() => read(new HpackDecoder(4096), hex)).toThrow(HpackError)
  })

  test('what comes behind it is still sound: size changes at the beginning of a block', () => {
    const decoder = new HpackDecoder(4096)
    expect(read(decoder, '40 0161 0162')).toEqual(['a: b'])
    expect(read(decoder, '20 3fe11f 82')).toEqual([':method: GET'])
    expect(decoder.tableBytes).toBe(0)
    expect(() => read(decoder, 'be')).toThrow(HpackError)
  })
})

test('noise is decoded or refused, never anything else, and the table stays within its bounds', () => {
  const random = dice(7)
  const decoder = new HpackDecoder(4096)
  for (let turn = 0; turn < 20_000; turn++) {
    const block = Buffer.from(Array.from({ length: random(40) }, () => random(256)))
    try {
      decoder.decode(block, () => {})
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(HpackError)
    }
    expect(decoder.tableBytes).toBeLessThanOrEqual(4096)
  }
})

test.each([4096, 256, 0])(
  "what Node's encoder makes of random fields is read as what it was, with a table of %i bytes",
  async (headerTableSize) => {
    const random = dice(headerTableSize + 21)
    const text = (most: number) =>
      Array.from({ length: 1 + random(most) }, () => String.fromCharCode(0x21 + random(0x5e))).join('')
    const names = Array.from({ length: 60 }, (_, at) => `x-${at}-${'n'.repeat(random(30))}`)
    const values = Array.from({ length: 40 }, () => text(300))
    const { session, blocks } = await encodingClient(headerTableSize)
    const expected: string[][] = []
    for (let turn = 0; turn < 400; turn++) {
      const fields: Record<string, string> = { ':method': 'GET', ':scheme': 'http', ':authority': 'o', ':path': '/' }
      for (let count = random(12); count > 0; count--) {
        fields[names[random(60)] ?? ''] = random(3) === 0 ? text(40) : (values[random(40)] ?? '')
      }
      expected.push(Object.entries(fields).map((field) => field.join(': ')))
      const secret = Object.keys(fields).at(-1) ?? ''
      session.request({ ...fields, [sensitiveHeaders]: random(2) === 0 ? [secret] : [] }, { endStream: true })
    }
    await expect.poll(() => blocks.length).toBe(expected.length)
    const decoder = new HpackDecoder(headerTableSize)
    for (const [at, block] of blocks.entries()) {
      expect(read(decoder, block.toString('hex')).sort()).toEqual(expected[at]?.sort())
      expect(decoder.tableBytes).toBeLessThanOrEqual(headerTableSize)
    }
  },
)

/** A client of Node's whose header blocks are kept as they come, and nothing is answered. */
async function encodingClient(headerTableSize: number): Promise<{ session: ClientHttp2Session; blocks: Buffer[] }> {
  const blocks: Buffer[] = []
  const { port } = await listen((socket) => {
    let held = Buffer.alloc(0)
    let skip = PREFACE.length
    socket.write(makeFrame(SETTINGS, 0, 0, Buffer.from([0, 1, 0, 0, headerTableSize >> 8, headerTableSize & 0xff])))
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= skip + 9 && held.length >= skip + 9 + held.readUIntBE(skip, 3)) {
        const from = skip + 9
        const to = from + held.readUIntBE(skip, 3)
        const fragment = fragmentOf(held[skip + 4] ?? 0, held.subarray(from, to))
        if (held[skip + 3] === HEADERS && fragment !== undefined) blocks.push(Buffer.from(fragment))
        held = held.subarray(to)
        skip = 0
      }
    })
  })
  const session = connect(`http://127.0.0.1:${port}`, { peerMaxConcurrentStreams: 1_000 })
  session.on('error', () => {})
  session.on('stream', () => {})
  onTestFinished(() => session.destroy())
  await once(session, 'remoteSettings')
  return { session, blocks }
}

/** Numbers below the given one, the same for the same seed. */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
}
