// A data center that goes down under open connections, on a whole lab: what depends on it, and what becomes of that.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { run } from '../cli/run.ts'
import { curl } from '../support/curl.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

let running: PrivateLab
let where: readonly string[]
const tunnels: Tunnel[] = []

beforeAll(async () => {
  running = await startPrivateLab({ ephemeral: false })
  where = ['--api', `127.0.0.1:${running.lab.api.port}`, '--state', running.folder]
})
afterEach(async () => {
  for (const { socket } of tunnels.splice(0)) socket.destroy()
  await running.lab.pipeline.sessions.empty()
  running.lab.store.setColoDown('LAX', false)
  running.lab.store.setColoDown('LAS', false)
})
afterAll(() => running.close())

interface Tunnel {
  readonly socket: Socket
  readonly ended: Promise<'FIN' | 'RST'>
}

async function openTunnel(login: string, target: string): Promise<Tunnel> {
  const socket = connect(running.lab.listeners[0]?.port ?? 0, '127.0.0.1')
  const { promise: ended, resolve } = Promise.withResolvers<'FIN' | 'RST'>()
  socket.on('error', () => resolve('RST'))
  socket.on('end', () => resolve('FIN'))
  const credentials = Buffer.from(login).toString('base64')
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`)
  await once(socket, 'data')
  const tunnel = { socket, ended }
  tunnels.push(tunnel)
  return tunnel
}

const carol = () => openTunnel('carol@example.com;family=4:lab-carol', 'espn.com:80')
const bob = () => openTunnel('bob@example.com;family=4:lab-bob', 'espn.com:80')
const colo = (...args: readonly string[]) => run(['colo', ...args, ...where])

/** The next session that ends. */
function nextRecord(): Promise<SessionRecord> {
  const { promise, resolve } = Promise.withResolvers<SessionRecord>()
  const stop = running.lab.sessions.subscribe((record) => {
    stop()
    resolve(record)
  })
  return promise
}

const stillAnswers = async ({ socket }: Tunnel): Promise<string> => {
  socket.write('GET / HTTP/1.1\r\nHost: espn.com\r\n\r\n')
  const [data] = await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return String(data).slice(0, 15)
}

describe('open connections when a data center goes down', () => {
  test('are kept unless asked otherwise, while new ones move at once [E1] [B4]', async () => {
    const open = await carol()
    expect(await colo('down', 'LAX')).toEqual({
      code: 0,
      stdout: 'LAX (Los Angeles) is down; 1 open connection kept (use --reset to close them)\n',
      stderr: '',
    })
    expect(await stillAnswers(open)).toBe('HTTP/1.1 200 OK')
    const moved = await curl('-x', running.proxy, '-U', 'carol@example.com:lab-carol', 'http://ipv4.icanhazip.com/')
    expect(moved.body).toBe('203.0.113.30\n')
    expect(running.lab.pipeline.sessions.list().map(({ egress }) => egress)).toEqual([
      expect.stringMatching(/^203\.0\.113\.40:/),
    ])
  })

  test('are reset with --reset: both sides see it, and the record says why (TU-07)', async () => {
    const open = await carol()
    const recorded = nextRecord()
    const { stdout } = await colo('down', 'LAX', '--reset', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ code: 'LAX', up: false, connections: { kept: 0, reset: 1 } })
    expect(await open.ended).toBe('RST')
    expect(await recorded).toMatchObject({
      ConnectionCloseReason: 'ORIGIN_UNROUTABLE',
      EgressIP: '203.0.113.40',
      Lab: {
        error: {
          code: 'relay.colo_down',
          message: expect.stringMatching(/^data center LAX went down, .*203\.0\.113\.40/),
        },
      },
    })
  })

  test('are those that come in there, too', async () => {
    const open = await carol()
    expect((await colo('down', 'LAS', '--reset')).stdout).toBe('LAS (Las Vegas) is down; 1 open connection reset\n')
    expect(await open.ended).toBe('RST')
  })

  test('of others go on', async () => {
    const other = await bob()
    await carol()
    expect(JSON.parse((await colo('down', 'LAX', '--reset', '--json')).stdout).connections).toEqual({
      kept: 0,
      reset: 1,
    })
    expect(await stillAnswers(other)).toBe('HTTP/1.1 200 OK')
  })

  test('from an IPv6 range of that data center go on: a range works from every one [E4]', async () => {
    const open = await openTunnel('carol@example.com;family=6:lab-carol', 'espn.com:80')
    expect(JSON.parse((await colo('down', 'LAX', '--reset', '--json')).stdout).connections).toEqual({
      kept: 0,
      reset: 0,
    })
    expect(await stillAnswers(open)).toBe('HTTP/1.1 200 OK')
  })
})
