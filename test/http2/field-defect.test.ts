// Nothing that is called sound here is dropped by nghttp2: every byte in a name, in a value and around it, over a session of Node's own.

import { once } from 'node:events'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { fieldDefect } from '../../src/http2/field-defect.ts'
import { END_HEADERS, END_STREAM, frame, HEADERS, headerBlock, PREFACE, SETTINGS } from '../support/h2-frames.ts'

const GET = { ':method': 'GET', ':scheme': 'http', ':authority': 'o', ':path': '/' }

/** What Node makes of each field in a request of its own: `kept`, `dropped`, or `refused` with the whole request. */
async function asNodeSeesIt(fields: readonly (readonly [name: string, value: string])[]): Promise<string[]> {
  const seen = new Map<number, string>()
  const server = createServer({ maxSessionInvalidFrames: 100_000 })
  server.on('stream', (stream: ServerHttp2Stream, _headers, _flags, list: readonly string[]) => {
    const [name, value] = fields[((stream.id ?? 1) - 1) / 2] ?? ['', '']
    const isKept = list.some((each, at) => at % 2 === 0 && each === name && list[at + 1] === value)
    seen.set(stream.id ?? 0, isKept ? 'kept' : 'dropped')
    stream.on('error', () => {})
    stream.respond({ ':status': 204 }, { endStream: true })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  socket.resume()
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]))
  const requests = [...fields, ['x-last', 'one'] as const].map(([name, value], at) =>
    frame(
      HEADERS,
      END_HEADERS | END_STREAM,
      at * 2 + 1,
      Buffer.concat([headerBlock(GET), headerBlock({ [name]: value })]),
    ),
  )
  for (const bytes of requests) socket.write(bytes)
  await expect.poll(() => seen.has(fields.length * 2 + 1)).toBe(true)
  return fields.map((_field, at) => seen.get(at * 2 + 1) ?? 'refused')
}

const BYTES = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))

test.each<[where: string, field: (byte: string) => [name: string, value: string]]>([
  ['in a name', (byte) => [`x${byte}a`, 'b']],
  ['at the beginning of a name', (byte) => [`${byte}x`, 'b']],
  ['in a value', (byte) => ['x-a', `b${byte}c`]],
  ['at the beginning of a value', (byte) => ['x-a', `${byte}c`]],
  ['at the end of a value', (byte) => ['x-a', `b${byte}`]],
])('every byte %s: what is sound is kept by Node, and what is not is dropped or refused', async (_where, field) => {
  const fields = BYTES.map(field)
  const verdicts = await asNodeSeesIt(fields)
  const differences = fields.flatMap(([name, value], at) => {
    const isSound = fieldDefect(name, value) === undefined
    return isSound === (verdicts[at] === 'kept') ? [] : [`${JSON.stringify([name, value])}: ${verdicts[at]}`]
  })
  expect(differences).toEqual([])
})
