// Clients of the API that ask before they were answered: one request after the other, and not without end (AP-09).

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { closed } from '../support/tcp.ts'
import { type RunningApi, runApi, TOKEN } from './running-api.ts'

let api: RunningApi
afterEach(() => api.close())

const BODY = JSON.stringify({ destination: 'bank.saas.test:443' })
const EXPLAIN = `POST /lab/v1/explain HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`

async function open(): Promise<Socket> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

test('requests that come at once are worked off one by one, in order', async () => {
  let inProgress = 0
  let most = 0
  let count = 0
  const explain = async () => {
    most = Math.max(most, ++inProgress)
    await new Promise((resolve) => setImmediate(resolve))
    inProgress--
    return { number: ++count }
  }
  api = await runApi({ ports: { explain } })
  const socket = await open()
  let heard = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    heard += text
  })
  socket.write(EXPLAIN.repeat(40))
  await expect.poll(() => heard.match(/"number":\d+/g)?.length).toBe(40)
  expect(heard.match(/"number":\d+/g)).toEqual(Array.from({ length: 40 }, (_, at) => `"number":${at + 1}`))
  expect(most).toBe(1)
})

test('a connection with more than can wait is cut, and nothing of it is begun any more', async () => {
  let begun = 0
  const explain = () => {
    begun++
    return new Promise<never>(() => {})
  }
  api = await runApi({ ports: { explain } })
  const socket = await open()
  socket.resume()
  socket.write(EXPLAIN.repeat(200))
  await closed(socket)
  expect(begun).toBe(1)
  expect((await api.ask('GET', '/lab/v1/users')).status).toBe(200)
})
