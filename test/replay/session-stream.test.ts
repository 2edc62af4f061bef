// Recordings come as whole lines, however they are stored and wherever the reads happen to end.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSessions } from '../../src/replay/session-stream.ts'
import { SpanReader } from '../../src/replay/span.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-stream-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const LINES = Array.from({ length: 60_000 }, (_, at) => `{"line":${at},"é":"${'x'.repeat(at % 97)}"}\n`)
const TEXT = LINES.join('')

async function read(source: ReturnType<typeof openSessions>): Promise<{ text: string; pieces: number; done: number }> {
  let text = ''
  let [pieces, done] = [0, 0]
  const spans = new SpanReader()
  for await (const { lines, done: consumed } of source.pieces()) {
    if ('problem' in lines) throw new Error(lines.problem)
    const part = Buffer.from(lines.kind === 'bytes' ? lines.bytes : spans.read(lines.span)).toString()
    if (text !== '' && !text.endsWith('\n')) throw new Error('a piece does not end with a line')
    text += part
    pieces++
    done = consumed
  }
  spans.close()
  return { text, pieces, done }
}

function written(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const NO_INPUT = Readable.from([])

test('a file comes back in pieces of whole lines, with the bytes consumed', async () => {
  const source = openSessions(written('a.ndjson', TEXT), NO_INPUT)
  const { text, pieces, done } = await read(source)
  expect(text === TEXT).toBe(true)
  expect(pieces).toBeGreaterThan(2)
  expect(done).toBe(Buffer.byteLength(TEXT))
  expect(source.size).toBe(done)
})

test.each([(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])(
  'a line feed is found wherever it stands, as byte %i',
  async (length) => {
    const text = `${'x'.repeat(length - 1)}\n{"b":2}\n\n{"c":3}`
    expect((await read(openSessions(written('h', text), NO_INPUT))).text === text).toBe(true)
  },
)

test('gzip is known by its first bytes, several members are one text', async () => {
  const packed = Buffer.concat([gzipSync(TEXT.slice(0, 1_000_003)), gzipSync(TEXT.slice(1_000_003))])
  const { text, done } = await read(openSessions(written('b.log', packed), NO_INPUT))
  expect(text === TEXT).toBe(true)
  expect(done).toBe(packed.length)
})

test('standard input is read as it comes, one byte at a time if need be', async () => {
  const bytes = gzipSync('{"a":1}\n{"b":2}')
  const drip = Readable.from([...bytes].map((byte) => Buffer.from([byte])))
  expect(await read(openSessions('-', drip))).toMatchObject({ text: '{"a":1}\n{"b":2}' })
  expect(openSessions('-', NO_INPUT).size).toBeUndefined()
})

test('a last line needs no end, an empty input has no piece', async () => {
  expect((await read(openSessions(written('c', '{"a":1}'), NO_INPUT))).text).toBe('{"a":1}')
  expect((await read(openSessions(written('d', ''), NO_INPUT))).pieces).toBe(0)
  expect((await read(openSessions(written('e', 'x'), NO_INPUT))).text).toBe('x')
})

test('what cannot be read to its end is refused, and says why', async () => {
  expect(() => openSessions(join(folder, 'gone'), NO_INPUT)).toThrow('there is no such file')
  expect(() => openSessions(folder, NO_INPUT)).toThrow('it is a folder')
  const broken = gzipSync(TEXT).subarray(0, 5000)
  await expect(read(openSessions(written('f', broken), NO_INPUT))).rejects.toThrow(
    'the packed data breaks off at byte 5000: unexpected end of file',
  )
  const endless = Buffer.alloc((18 << 20) + 1, 'x')
  await expect(read(openSessions(written('g', endless), NO_INPUT))).rejects.toThrow('a line is longer than 16 MiB')
  await expect(read(openSessions('-', Readable.from([endless])))).rejects.toThrow('a line is longer than 16 MiB')
})
