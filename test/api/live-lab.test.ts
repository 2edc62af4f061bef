// The control plane of a whole running lab: what it changes is what the next connection meets, and no other.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type StartedLab, startLab } from '../../src/lab/start-lab.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import type { Envelope } from './running-api.ts'

const BOB = `Basic ${btoa('bob@example.com:lab-bob')}`

let folder: string
let lab: StartedLab
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-live-'))
  lab = await startLab({
    configFile: 'config/lab.yaml',
    state: folder,
    ephemeral: false,
    portsFromZero: true,
    standInNetwork: ownNetwork(),
  })
})
afterAll(async () => {
  await lab.close()
  rmSync(folder, { recursive: true, force: true })
})

async function ask(method: string, path: string, authorization: string, body?: unknown): Promise<Envelope> {
  const response = await fetch(`http://127.0.0.1:${lab.api?.port}${path}`, {
    method,
    headers: { authorization, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return (await response.json()) as Envelope
}

const token = () => `Bearer ${readFileSync(join(folder, 'api-token'), 'utf8').trim()}`

/** Reads until the text ends so. */
async function readUntil(socket: Socket, end: string): Promise<string> {
  let text = ''
  while (!text.endsWith(end)) {
    const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
    text += chunk.toString()
  }
  return text
}

/** A tunnel to the echo origin that can be asked again and again which address it sees. */
async function tunnel(host = 'ipv4.icanhazip.com'): Promise<{ address(): Promise<string>; socket: Socket }> {
  const socket = connect(lab.listeners[0]?.port ?? 0, '127.0.0.1')
  socket.write(`CONNECT ${host}:80 HTTP/1.1\r\nHost: ${host}:80\r\nProxy-Authorization: ${BOB}\r\n\r\n`)
  expect(await readUntil(socket, '\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
  const address = async () => {
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    return (await readUntil(socket, '\n')).split('\r\n\r\n')[1]?.trim() ?? ''
  }
  return { socket, address }
}

test('a person switches: open tunnels keep their address, the next connection has the new one', async () => {
  await lab.pipeline.sessions.empty()
  const before = await tunnel()
  expect(await before.address()).toBe('203.0.113.10')
  await ask('PUT', '/lab/v1/me/virtual-network', BOB, { virtual_network: 'vnet-AMER' })
  const after = await tunnel()
  expect([await before.address(), await after.address()]).toEqual(['203.0.113.10', '203.0.113.40'])
  const live = (await ask('GET', '/lab/v1/sessions', token())).result
  const revisions = live.map(({ egress, policy_revision }: { egress: string; policy_revision: number }) => [
    egress.split(':')[0],
    policy_revision,
  ])
  expect(revisions[0][0]).toBe('203.0.113.10')
  expect(revisions[1]).toEqual(['203.0.113.40', revisions[0][1] + 1])
  before.socket.destroy()
  after.socket.destroy()
  await ask('PUT', '/lab/v1/me/virtual-network', BOB, { virtual_network: null })
})

test('LG-03 ports in use are counted by range where people have an address each', async () => {
  await lab.pipeline.sessions.empty()
  const open = await tunnel('ipv6.icanhazip.com')
  const sessions: { egress: string }[] = (await ask('GET', '/lab/v1/sessions', token())).result
  const egress = sessions.find((session) => session.egress.startsWith('['))?.egress ?? ''
  const address = egress.replace(/^\[|\]:\d+$/g, '')
  expect(address).toMatch(/^2001:db8:/)
  const answer = await fetch(`http://127.0.0.1:${lab.api?.port}/metrics`, { headers: { authorization: token() } })
  const text = await answer.text()
  expect(text).toMatch(/^egresslab_ports_in_use\{egress="2001:db8:10::\/64"\} 1$/m)
  expect(text).not.toContain(address)
  open.socket.destroy()
})

test('the operator closes a session, and its tunnel is cut', async () => {
  await lab.pipeline.sessions.empty()
  const open = await tunnel()
  const cut = once(open.socket, 'error', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const [session] = (await ask('GET', '/lab/v1/sessions?user=bob@example.com', token())).result
  expect((await ask('DELETE', `/lab/v1/sessions/${session.id}`, token())).success).toBe(true)
  expect(await cut).toMatchObject([{ code: 'ECONNRESET' }])
})

test('explain over the API is what the next connection meets', async () => {
  const { result } = await ask('POST', '/lab/v1/explain', token(), {
    destination: 'http://ipv4.icanhazip.com/',
    user: 'bob@example.com',
  })
  expect(result.decision).toMatchObject({ outcome: 'balanced', egress: { ipv4: '203.0.113.10' } })
})

test('SS-04 the proxy does not reach the API, whoever asks', async () => {
  const socket = connect(lab.listeners[0]?.port ?? 0, '127.0.0.1')
  socket.write(`CONNECT 127.0.0.1:${lab.api?.port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: ${BOB}\r\n\r\n`)
  const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
  expect(chunk.toString()).toMatch(/^HTTP\/1\.1 403 /)
  socket.destroy()
})

test('AP-03 wrong passwords at the API are refused like wrong tokens', async () => {
  const wrong = await ask('GET', '/lab/v1/me', `Basic ${btoa('bob@example.com:wrong')}`)
  expect(wrong).toEqual(await ask('GET', '/lab/v1/account', 'Bearer wrong'))
})

describe('a proxy endpoint made at the API', () => {
  const endpoints = () => `/client/v4/accounts/${lab.snapshot().account.id}/gateway/proxy_endpoints`
  const portIn = ({ messages }: Envelope) =>
    Number(/listens on 127\.0\.0\.1:(\d+)/.exec(messages[0]?.message ?? '')?.[1])

  test('opens a listener of its own, which rules know by its name, and closes it when it is deleted', async () => {
    const made = await ask('POST', endpoints(), token(), { name: 'people', kind: 'identity' })
    const port = portIn(made)
    expect(portIn(await ask('GET', `${endpoints()}/${made.result.id}`, token()))).toBe(port)
    const rule = await ask('POST', endpoints().replace('proxy_endpoints', 'rules'), token(), {
      name: 'by endpoint',
      action: 'egress',
      enabled: true,
      precedence: 1,
      traffic: `proxy.endpoint == "${made.result.subdomain}.proxy.cloudflare-gateway.com"`,
    })
    const through = (user: string) => curl('-x', `http://127.0.0.1:${port}`, '-U', user, 'http://ipv4.icanhazip.com/')
    expect((await through('bob@example.com:wrong')).body).not.toMatch(/^\d+\.\d+/)
    expect((await through('bob@example.com:lab-bob')).body).toMatch(/^198\.18\./)
    await ask('DELETE', endpoints().replace('proxy_endpoints', `rules/${rule.result.id}`), token())
    await ask('DELETE', `${endpoints()}/${made.result.id}`, token())
    expect((await through('bob@example.com:lab-bob')).body).toBe('')
  })

  test('of kind `ip` admits the networks it has at the moment, and nobody without any', async () => {
    const made = await ask('POST', endpoints(), token(), { name: 'by address', kind: 'ip' })
    const through = () => curl('-x', `http://127.0.0.1:${portIn(made)}`, 'http://ipv4.icanhazip.com/')
    expect((await through()).body).not.toMatch(/^\d+\.\d+\.\d+\.\d+\s*$/)
    await ask('PATCH', `${endpoints()}/${made.result.id}`, token(), { ips: ['127.0.0.1/32'] })
    expect((await through()).body).toMatch(/^\d+\.\d+\.\d+\.\d+\s*$/)
    await ask('DELETE', `${endpoints()}/${made.result.id}`, token())
  })
})
