// A client that leaves in the middle of its body is no failure of the API: nothing is told to the operator, whoever it was.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closed, readToEnd } from '../support/tcp.ts'
import { type RunningApi, runApi, TOKEN } from './running-api.ts'

let api: RunningApi
beforeAll(async () => {
  api = await runApi({ ports: { signIn: NOBODY_SIGNS_IN } })
})
afterAll(() => api.close())

const NOBODY_SIGNS_IN = {
  seconds: 60,
  read: () => undefined,
  signedIn: () => undefined,
  enter: () => '',
  onward: () => undefined,
  leave: () => undefined,
}

const DNS = 'Content-Type: application/dns-message'
const JSON_BODY = 'Content-Type: application/json'
const FORM = 'Content-Type: application/x-www-form-urlencoded'
const WITH_TOKEN = `Authorization: Bearer ${TOKEN}`

const ROUTES = [
  ['POST', '/dns-query', [DNS]],
  ['POST', '/lab/v1/login', [JSON_BODY]],
  ['POST', '/lab/v1/logout', [JSON_BODY]],
  ['POST', '/authorize', [FORM]],
  ['POST', '/lab/v1/token/rotate', [JSON_BODY, WITH_TOKEN]],
  ['PUT', '/lab/v1/colos/LHR', [JSON_BODY, WITH_TOKEN]],
] as const

const LEAVING = [
  ['resets', (socket: Socket) => socket.resetAndDestroy()],
  ['ends', (socket: Socket) => socket.end()],
  ['breaks its chunks and ends', (socket: Socket) => socket.end('zz\r\n')],
] as const

test.each(ROUTES.flatMap((route) => LEAVING.map((leaving) => [...route, ...leaving] as const)))(
  '%s %s %j whose client %s: nothing is told, and the next one is served',
  async (method, path, fields, how, leave) => {
    const { host, port } = new URL(api.url)
    const framing = how.includes('chunks') ? 'Transfer-Encoding: chunked' : 'Content-Length: 100'
    for (let client = 0; client < 5; client++) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      const sent = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, ...fields, framing, '', ''].join('\r\n')
      await new Promise((resolve) =>
        socket.write(`${sent}${framing.includes('chunked') ? '2\r\n{"\r\n' : '{"'}`, resolve),
      )
      await live()
      leave(socket)
      await closed(socket)
      await live()
    }
    await live()
    expect(api.notices).toEqual([])
  },
)

async function live(): Promise<void> {
  const answer = await fetch(`${api.url}/lab/v1/health/live`)
  expect(await answer.json()).toMatchObject({ success: true, result: { live: true } })
}

test('a client that has ended its side behind its request gets the answer, however long that takes', async () => {
  const { host, port } = new URL(api.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.end(['GET /lab/v1/sessions?wait=1 HTTP/1.1', `Host: ${host}`, WITH_TOKEN, '', ''].join('\r\n'))
  expect((await readToEnd(socket)).toString()).toMatch(/^HTTP\/1\.1 200 .*"success":true/s)
})
