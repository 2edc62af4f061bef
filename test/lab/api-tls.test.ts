// The API with TLS of its own: the development certificate or files, which are newly read; everything of the lab that talks to it still
// does.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { connectLab, dispatcherTo, labClient } from '../../src/lab/lab-client.ts'
import { issueLeaf } from '../../src/tls/issue-certificates.ts'
import { curl } from '../support/curl.ts'
import { ownPort } from '../support/own-network.ts'
import { PATIENT } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { file, testTls } from '../support/tls.ts'

const TOKEN = 'a-token-for-tests-of-tls'
const withTls = (tls: string, port = 0) =>
  file(
    'lab.yaml',
    `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]\napi: { port: ${port}, tls: ${tls} }\nlisteners: [{ name: main, port: 0 }]\nusers: [{ email: bob@example.com, password: lab-bob }]\n`,
  )

describe('with the development certificate', () => {
  let one: PrivateLab
  let url: string
  beforeAll(async () => {
    one = await startPrivateLab({ configFile: withTls('true'), apiToken: TOKEN })
    url = one.lab.apiUrl
  })
  afterAll(() => one?.close())
  const curlIt = (...words: string[]) =>
    curl('--cacert', one.lab.authorityFile, '-H', `Authorization: Bearer ${TOKEN}`, ...words)

  test('it is https and nothing else; the cookie is for TLS alone', async () => {
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    expect((await curlIt(`${url}/lab/v1/health`)).body).toContain('"success":true')
    const login = ['-i', '-H', 'Content-Type: application/json', '-d', JSON.stringify({ token: TOKEN })]
    const { body } = await curlIt(...login, `${url}/lab/v1/login`)
    const port = new URL(url).port
    expect(body).toContain(`set-cookie: __Host-egresslab_session_${port}=`)
    expect(body).toMatch(/HttpOnly; SameSite=Strict; Path=\/; Secure/)
    expect(await fetch(url.replace('https:', 'http:')).catch(() => 'refused')).toBe('refused')
  })

  test('AP-01 a page of plain http on the same port is another site', async () => {
    const { body } = await curlIt('-H', `Origin: ${url.replace('https:', 'http:')}`, `${url}/lab/v1/health`)
    expect(body).toContain('"code":20106')
    expect((await curlIt('-H', `Origin: ${url}`, `${url}/lab/v1/health`)).body).toContain('"success":true')
  })

  test('a client that knows its authority reaches it, one that does not is told why', async () => {
    const api = { url, token: TOKEN }
    const known = labClient(
      { ...api, dispatcher: dispatcherTo({ tls: { kind: 'development' } }, one.lab.authorityFile) },
      { state: '' },
    )
    expect(await known.ask('GET', '/lab/v1/token')).toMatchObject({ role: 'admin' })
    await expect(labClient(api, { state: '' }).ask('GET', '/lab/v1/token')).rejects.toThrow(
      /cannot reach the lab at https.*certificate/,
    )
  })

  test('the proxy serves the lab’s own pages as before, and its way to them serves nobody else', async () => {
    const { body } = await curl('-x', one.proxy, '-U', 'bob@example.com:lab-bob', 'http://egresslab.test/proxy.pac')
    expect(body).toContain('FindProxyForURL')
  })
})

test('with files: the verbs trust the certificate that the configuration names, and a renewed one is used from then on', async () => {
  const { authority, leaf } = await testTls()
  const certificate = file('cert.pem', leaf.certificate)
  const key = join(dirname(certificate), 'key.pem')
  writeFileSync(key, leaf.key, { mode: 0o600 })
  const port = ownPort(70)
  const configFile = withTls(`{ certificate: ${certificate}, key: ${key} }`, port)
  const one = await startPrivateLab({ configFile, apiToken: TOKEN, portsFromZero: false })
  onTestFinished(() => one.close())
  const client = await connectLab({ config: configFile, state: one.folder }, { EGRESSLAB_API_TOKEN: TOKEN })
  expect(await client.ask('GET', '/lab/v1/token')).toMatchObject({ name: 'api-token' })

  const serial = async () => {
    const socket = connect({ port, host: '127.0.0.1', ca: authority.certificate, servername: 'localhost' })
    await once(socket, 'secureConnect')
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  const before = await serial()
  const renewed = await issueLeaf(authority, ['localhost'], Date.now())
  writeFileSync(key, renewed.key, { mode: 0o600 })
  writeFileSync(certificate, renewed.certificate)
  await vi.waitFor(async () => expect(await serial()).not.toBe(before), PATIENT)
  expect(one.said()).toContain('the listener `api` now uses its new certificate')
  // a file that is no certificate changes nothing
  writeFileSync(certificate, 'no certificate')
  await vi.waitFor(() => expect(one.said()).toContain('keeps its certificate'), PATIENT)
  expect(await serial()).not.toBe(before)
})
