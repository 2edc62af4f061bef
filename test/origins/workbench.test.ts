import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { TOOL_PATHS } from '../../src/origins/response-tools.ts'
import type { RunningOrigins } from '../../src/origins/serve.ts'
import { curl } from '../support/curl.ts'
import { loopback } from '../support/own-network.ts'
import { destination, HTTP_PORT, spec, startTestOrigins } from '../support/test-origins.ts'

const ECHO = loopback(11)
const BASE = `http://${ECHO}:${HTTP_PORT}`
let origins: RunningOrigins

beforeAll(async () => {
  origins = await startTestOrigins([spec('echo.test', 'echo')], [destination('echo.test', '198.51.100.11', ECHO)])
})
afterAll(() => origins.close())

describe('the workbench of an echo site', () => {
  test('/bytes/N sends exactly N bytes and says so beforehand', async () => {
    const answer = await curl(`${BASE}/bytes/200001`)
    expect(answer.headers.get('content-length')).toBe('200001')
    expect(answer.body).toBe('0123456789abcdef'.repeat(12501).slice(0, 200_001))
  })

  test.each([
    ['/bytes/0', 200, ''],
    ['/bytes/1073741825', 400, 'at most 1073741824 bytes\n'],
    ['/status/503', 503, '503 Service Unavailable\n'],
    ['/status/299', 299, '299\n'],
    ['/status/204', 204, ''],
    ['/status/199', 400, 'a final status is between 200 and 599\n'],
    ['/status/600', 400, 'a final status is between 200 and 599\n'],
    ['/delay/1', 200, '1 ms later\n'],
    ['/slow/3/1', 200, 'line 1 of 3\nline 2 of 3\nline 3 of 3\n'],
  ])('%s answers %i', async (path, status, body) => {
    expect(await curl(`${BASE}${path}`)).toMatchObject({ exit: 0, status, body })
  })

  test('/headers shows the request head as it arrived, order and spelling kept', async () => {
    const answer = await curl('-H', 'X-One: 1', '-H', 'x-TWO: 2', '-H', 'X-One: 3', `${BASE}/headers?q=1`)
    const seen = JSON.parse(answer.body)
    expect(seen).toMatchObject({ method: 'GET', target: '/headers?q=1', version: '1.1' })
    expect(seen.fields.slice(-3)).toEqual([
      ['X-One', '1'],
      ['x-TWO', '2'],
      ['X-One', '3'],
    ])
  })

  test('/upload says how much arrived and what it was', async () => {
    const body = 'x'.repeat(100_000)
    const answer = await curl('--data-binary', body, `${BASE}/upload`)
    const sha256 = createHash('sha256').update(body).digest('hex')
    expect(JSON.parse(answer.body)).toEqual({ bytes: 100_000, sha256 })
  })

  test.each([
    ['/reset', 56],
    ['/cut', 18],
    ['/close', 52],
  ])('%s breaks off as it says (curl exits %i)', async (path, exit) => {
    expect((await curl(`${BASE}${path}`)).exit).toBe(exit)
  })

  test('/hang takes the request and never answers', async () => {
    expect((await curl('-m', '0.3', `${BASE}/hang`)).exit).toBe(28)
  })

  test('every path is documented', () => {
    const document = readFileSync('docs/test-origins.md', 'utf8')
    expect(TOOL_PATHS.filter((path) => !document.includes(`\`${path}\``))).toEqual([])
  })

  test('other upgrades than WebSocket are not taken up', async () => {
    expect((await curl('--http2', `${BASE}/status/200`)).body).toBe('200 OK\n')
  })
})

describe('WebSocket at /ws', () => {
  test('every message comes back as it was sent, text as text and bytes as bytes', async () => {
    const socket = new WebSocket(`ws://${ECHO}:${HTTP_PORT}/ws`)
    await once(socket, 'open')
    expect(await roundTrip(socket, 'grüezi')).toEqual(['grüezi', false])
    expect(await roundTrip(socket, Buffer.from([0, 255, 1]))).toEqual([Buffer.from([0, 255, 1]).toString(), true])
    socket.close()
    await once(socket, 'close')
  })

  test('is nowhere else', async () => {
    const socket = new WebSocket(`ws://${ECHO}:${HTTP_PORT}/elsewhere`)
    const [error] = await once(socket, 'error')
    expect(String(error)).toContain('Unexpected server response')
  })
})

async function roundTrip(socket: WebSocket, message: string | Buffer): Promise<[string, boolean]> {
  socket.send(message)
  const [data, isBinary] = await once(socket, 'message')
  return [String(data), isBinary]
}
