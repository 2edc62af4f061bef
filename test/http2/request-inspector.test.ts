// The inspector of frames at every cut: what it finds and what it hands out do not depend on how the bytes arrive, and a client that does
// nothing wrong is passed on byte by byte.

import { describe, expect, test } from 'vitest'
import { HEADERS, makeFrame, PREFACE, RequestInspector } from '../../src/http2/request-inspector.ts'
import { headerBlock } from '../support/h2-frames.ts'

const SIZES = { headerTableSize: 4096, maxFrameSize: 16_384 }
const [END_STREAM, END_HEADERS, PADDED] = [1, 4, 8]
const [DATA, RST_STREAM, PING, CONTINUATION] = [0, 3, 6, 9]
const POST = { ':method': 'POST', ':scheme': 'http', ':authority': 'o', ':path': '/' }

interface Reading {
  readonly out: string
  readonly found: readonly string[]
}

function inspect(pieces: readonly Buffer[]): Reading {
  const found: string[] = []
  const inspector = new RequestInspector(SIZES, {
    onMalformed: ({ streamId, isNew, defect }) => found.push(`${streamId} ${isNew} ${defect.defect}`),
    onBroken: () => found.push('broken'),
  })
  const out = pieces.flatMap((piece) => inspector.inspect(piece))
  return { out: Buffer.concat(out).toString('hex'), found }
}

function headers(id: number, fields: Readonly<Record<string, string>>, flags = END_HEADERS): Buffer {
  return makeFrame(HEADERS, flags, id, headerBlock(fields))
}

const SOUND = Buffer.concat([
  PREFACE,
  makeFrame(4, 0, 0, Buffer.alloc(0)),
  headers(1, { ...POST, 'content-length': '5' }),
  makeFrame(DATA, PADDED, 1, Buffer.from('\x02hel..')),
  makeFrame(PING, 0, 0, Buffer.alloc(8)),
  headers(3, POST, 0),
  makeFrame(CONTINUATION, END_HEADERS, 3, headerBlock({ 'x-a': 'b' })),
  makeFrame(DATA, END_STREAM, 1, Buffer.from('lo')),
  makeFrame(DATA, 0, 3, Buffer.from('as long as it likes')),
  headers(3, { 'x-sum': '1' }, END_HEADERS | END_STREAM),
  headers(5, { ...POST, 'content-length': '5' }),
  makeFrame(RST_STREAM, 0, 5, Buffer.alloc(4)),
  headers(7, { ':method': 'CONNECT', ':authority': 'o:1', 'content-length': '1' }),
  makeFrame(DATA, 0, 7, Buffer.from('a tunnel has no length')),
  makeFrame(0xbe, 0xff, 9, Buffer.from('a frame that nobody knows')),
])

const UNSOUND = Buffer.concat([
  SOUND,
  headers(9, { ...POST, 'content-length': '4' }),
  makeFrame(DATA, 0, 9, Buffer.from('four')),
  makeFrame(DATA, PADDED, 9, Buffer.from('\x01!.')),
  headers(11, { ...POST, 'x-a': 'b\r' }, 0),
  makeFrame(CONTINUATION, END_HEADERS, 11, headerBlock({ 'x-c': 'd' })),
  headers(7, { 'x-a': ' b' }, END_HEADERS | END_STREAM),
  headers(13, { ...POST, 'content-length': '4' }),
  makeFrame(DATA, END_STREAM, 13, Buffer.from('fou')),
  headers(15, POST, 0),
  makeFrame(PING, 0, 0, Buffer.alloc(8)),
  headers(17, { ...POST, 'x-a': 'never seen' }),
])

const FOUND = [
  '9 false body-too-long',
  '11 true control-character',
  '7 false blank-around-value',
  '13 false body-cut-short',
  'broken',
]

test('what is sound is passed on as it is, without a copy where a piece holds whole frames', () => {
  expect(inspect([SOUND])).toEqual({ out: SOUND.toString('hex'), found: [] })
  const inspector = new RequestInspector(SIZES, { onMalformed: () => {}, onBroken: () => {} })
  expect(inspector.inspect(SOUND)[0]).toBe(SOUND)
  const middle = Buffer.alloc(5_000)
  expect(inspector.inspect(makeFrame(DATA, 0, 7, Buffer.alloc(16_000)).subarray(0, 9_000))).toHaveLength(1)
  expect(inspector.inspect(middle)[0]).toBe(middle)
})

test('what is not sound is found, and nothing comes behind a frame that ends the connection', () => {
  const { out, found } = inspect([UNSOUND])
  expect(found).toEqual(FOUND)
  expect(out).not.toContain(Buffer.from('never seen').toString('hex'))
  expect(out.split(Buffer.from('connection').toString('hex'))).toHaveLength(5)
})

describe.each([
  ['sound', SOUND],
  ['unsound', UNSOUND],
])('%s bytes', (_what, bytes) => {
  test('cut anywhere are read the same', () => {
    const whole = inspect([bytes])
    for (let at = 1; at < bytes.length; at++) {
      expect(inspect([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
    }
    expect(inspect(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(whole)
  })
})

test('noise behind the preface is passed on, found malformed or ends the connection, and never throws', () => {
  let state = 5
  const dice = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
  const ends = { broken: 0, passed: 0 }
  for (let turn = 0; turn < 3_000; turn++) {
    const bytes = Buffer.from(UNSOUND)
    for (let count = 1 + dice(4); count > 0; count--) {
      bytes[PREFACE.length + dice(bytes.length - PREFACE.length)] = dice(256)
    }
    const at = dice(bytes.length)
    const { out, found } = inspect([bytes.subarray(0, at), bytes.subarray(at)])
    expect({ out, found }).toEqual(inspect([bytes]))
    if (found.at(-1) === 'broken') ends.broken++
    else ends.passed++
    expect(found.filter((each) => each === 'broken').length).toBeLessThanOrEqual(1)
  }
  expect(ends.broken).toBeGreaterThan(1_000)
})

test('a request of HTTP/1.1 is handed out up to where it is known to be one, and nothing behind it', () => {
  const first = Buffer.from('POST / HTTP/1.1\r\n')
  expect(inspect([first, Buffer.from('Host: o\r\n\r\n')])).toEqual({ out: first.toString('hex'), found: ['broken'] })
})

test('endless pieces of a header block and of a frame are bounded', () => {
  const block = headerBlock({ 'x-a': 'y'.repeat(10_000) })
  const pieces = Array.from({ length: 50 }, () => makeFrame(CONTINUATION, 0, 1, block))
  const { out, found } = inspect([PREFACE, headers(1, POST, 0), ...pieces])
  expect(found).toEqual(['broken'])
  expect(out.length / 2).toBeLessThan(10 * (block.length + 100))
})
