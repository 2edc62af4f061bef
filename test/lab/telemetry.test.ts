// OpenTelemetry of a running lab: what curl did arrives at a real receiver of OTLP/HTTP, and a receiver that is away, silent or unwilling
// costs the lab nothing but a line.

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startOtlp } from '../../src/log/otlp.ts'
import { sampleRecord } from '../log/sample-record.ts'
import { curl } from '../support/curl.ts'
import { PATIENT } from '../support/patience.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { attributesOf, plain, problemsOf } from './otlp-shapes.ts'

interface Received {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  // biome-ignore lint/suspicious/noExplicitAny: its shape is checked by problemsOf
  readonly body: any
}

type Answering = (response: ServerResponse, received: Received) => void

const TAKEN: Answering = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{}')

/** A receiver that checks every request strictly. `answer` may be replaced. */
async function receiver() {
  const received: Received[] = []
  const problems: string[] = []
  const self = { answer: TAKEN, received, problems, port: 0 }
  const server = createServer(async (request, response) => {
    const body = await json(request).catch(() => undefined)
    // a lab that stops breaks off what it sends
    if (body === undefined) return
    const one = { path: request.url ?? '', headers: request.headers, body }
    problems.push(...problemsOf(one.path, one.body))
    received.push(one)
    self.answer(response, one)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  self.port = (server.address() as AddressInfo).port
  return self
}

// biome-ignore lint/suspicious/noExplicitAny: as above
const logRecordsOf = (received: readonly Received[]): any[] =>
  received
    .filter(({ path }) => path === '/v1/logs')
    .flatMap(({ body }) => body.resourceLogs)
    .flatMap(({ scopeLogs }) => scopeLogs)
    .flatMap(({ logRecords }) => logRecords)

const sessionsOf = (received: readonly Received[]) =>
  logRecordsOf(received).filter(({ eventName }) => eventName === 'egresslab.session')

// biome-ignore lint/suspicious/noExplicitAny: as above
const metricsOf = ({ body }: Received): Map<string, any> =>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  new Map(body.resourceMetrics[0].scopeMetrics[0].metrics.map((metric: any) => [metric.name, metric]))

async function lab(endpoint: string, more = '') {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-otlp-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'lab.yaml')
  writeFileSync(
    file,
    `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]
users: [{ email: bob@example.com, password: lab, place: AMS }]
telemetry: { otlp: { endpoint: "${endpoint}", interval: 200ms, headers: { x-api-key: "a-secret-of-ours" } } }
${more}`,
  )
  const running = await startPrivateLab({ configFile: file })
  let isOpen = true
  const close = async () => {
    if (isOpen) await running.close()
    isOpen = false
  }
  onTestFinished(close)
  const visit = (...args: string[]) => curl('-x', running.proxy, '-U', 'bob@example.com:lab', ...args)
  return { ...running, close, visit }
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`

test('sessions and metrics arrive as the protocol defines them, with the trace their client named', async () => {
  const otlp = await receiver()
  const { lab: running, visit } = await lab(`http://127.0.0.1:${otlp.port}/`)
  await visit('-H', `traceparent: ${PARENT}`, 'http://ipv4.icanhazip.com/')
  await visit('-H', `traceparent: 00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, 'http://no-such-name.invalid/')
  await vi.waitFor(() => expect(sessionsOf(otlp.received)).toHaveLength(2), PATIENT)
  const [good, failed] = sessionsOf(otlp.received)
  const [first, second] = running.sessions.recent()
  expect(good).toMatchObject({ traceId: TRACE, spanId: '00f067aa0ba902b7', severityText: 'INFO' })
  expect(plain(good.body)).toEqual(JSON.parse(JSON.stringify(first)))
  expect(first?.Lab.traceparent).toBe(PARENT)
  expect(attributesOf(good.attributes)).toMatchObject({
    'session.id': first?.SessionID,
    'user.email': 'bob@example.com',
    'server.address': 'ipv4.icanhazip.com',
    'server.port': 80,
    'network.transport': 'tcp',
    'egresslab.egress.address': '203.0.113.10',
    'egresslab.outcome': 'balanced',
  })
  expect(failed).toMatchObject({ severityText: 'WARN' })
  expect(failed.traceId).toBeUndefined()
  expect(attributesOf(failed.attributes)['error.type']).toBe(second?.Lab.error?.code)

  await vi.waitFor(() => {
    const last = otlp.received.findLast(({ path }) => path === '/v1/metrics')
    const metrics = last === undefined ? new Map() : metricsOf(last)
    expect(metrics.get('egresslab_decision_seconds')?.histogram.dataPoints[0].count).toBe(1)
    const [one] = metrics
      .get('egresslab_sessions_total')
      .sum.dataPoints.filter(({ attributes }: { attributes: [] }) => attributesOf(attributes).outcome === 'balanced')
    expect(one).toMatchObject({ asDouble: 1 })
    expect(attributesOf(one.attributes)).toMatchObject({ egress: '203.0.113.10' })
    expect(metrics.get('egresslab_sessions_open').gauge.dataPoints).toMatchObject([{ asDouble: 0 }])
  }, PATIENT)
  for (const { headers } of otlp.received) {
    expect(headers).toMatchObject({ 'x-api-key': 'a-secret-of-ours', 'content-type': 'application/json' })
  }
  const { resource } = otlp.received.find(({ path }) => path === '/v1/logs')?.body.resourceLogs[0] ?? {}
  expect(attributesOf(resource.attributes)).toMatchObject({
    'service.name': 'egresslab',
    'telemetry.sdk.language': 'nodejs',
  })
  expect(otlp.problems).toEqual([])
})

test('every metric of /metrics is pushed, with the same values', async () => {
  const otlp = await receiver()
  const { lab: running, visit } = await lab(`http://127.0.0.1:${otlp.port}`)
  await visit('http://ipv4.icanhazip.com/')
  await vi.waitFor(() => expect(running.sessions.recent()).toHaveLength(1), PATIENT)
  const api = `http://127.0.0.1:${running.api.port}`
  const { body } = await curl('-H', `authorization: Bearer ${running.token()}`, `${api}/metrics`)
  const names = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type])
  const count = otlp.received.length
  await vi.waitFor(() => {
    const pushed = otlp.received.slice(count + 1).find(({ path }) => path === '/v1/metrics')
    expect(pushed).toBeDefined()
    const metrics = pushed === undefined ? new Map() : metricsOf(pushed)
    expect([...metrics.keys()]).toEqual(names.map(([name]) => name))
    for (const [name, type] of names) {
      const key = type === 'counter' ? 'sum' : type
      expect(metrics.get(name)?.[key ?? ''], name).toBeDefined()
    }
    const [bytes] = metrics.get('egresslab_bytes_total').sum.dataPoints
    expect(body).toContain(`egresslab_bytes_total{direction="received"} ${bytes.asDouble}\n`)
  }, PATIENT)
})

test('the kept connection of a client names the trace of each of its requests, and CONNECT names its own', async () => {
  const otlp = await receiver()
  const { lab: running, visit } = await lab(`http://127.0.0.1:${otlp.port}`)
  const other = PARENT.replace('00f067aa0ba902b7', 'b7ad6b7169203331')
  const site = 'http://ipv4.icanhazip.com/'
  await visit(
    '-H',
    `traceparent: ${PARENT}`,
    site,
    '--next',
    '-sS',
    '-x',
    `http://127.0.0.1:${running.listeners[0]?.port}`,
    '-U',
    'bob@example.com:lab',
    '-H',
    `traceparent: ${other}`,
    site,
  )
  await visit('-p', '--proxy-header', `TraceParent: ${PARENT}`, site)
  await visit('-p', '--proxy-header', `traceparent: ${PARENT}`, '--proxy-header', `traceparent: ${other}`, site)
  await vi.waitFor(() => expect(running.sessions.recent()).toHaveLength(3), PATIENT)
  const [kept, tunnel, twice] = running.sessions.recent().map(({ Lab }) => Lab)
  expect(kept).toMatchObject({ traceparent: PARENT, exchanges: [{ traceparent: PARENT }, { traceparent: other }] })
  expect(tunnel).toMatchObject({ inbound: 'http-connect', traceparent: PARENT })
  expect(twice?.traceparent).toBeUndefined()
})

test('a receiver that is away costs one line, and gets what waited once it is there', async () => {
  const gone = await receiver()
  const { port } = gone
  gone.answer = (response) => response.destroy()
  const { visit, said } = await lab(`http://127.0.0.1:${port}`)
  await visit('http://ipv4.icanhazip.com/')
  await vi.waitFor(
    () => expect(gone.received.map(({ path }) => path)).toEqual(expect.arrayContaining(['/v1/logs', '/v1/metrics'])),
    PATIENT,
  )
  await vi.waitFor(() => expect(said()).toMatch(/OpenTelemetry cannot be delivered/), PATIENT)
  gone.answer = TAKEN
  await vi.waitFor(() => expect(said()).toMatch(/OpenTelemetry is delivered again\n/), PATIENT)
  await vi.waitFor(() => expect(sessionsOf(gone.received).length).toBeGreaterThan(1), PATIENT)
  expect(said().match(/cannot be delivered/g)).toHaveLength(1)
  expect(said()).not.toContain('a-secret-of-ours')
})

test('a receiver that never answers keeps nobody waiting, and the lab stops', async () => {
  const silent = await receiver()
  silent.answer = () => undefined
  const { visit, close, lab: running } = await lab(`http://127.0.0.1:${silent.port}`)
  for (let round = 0; round < 3; round++)
    expect(await visit('http://ipv4.icanhazip.com/')).toMatchObject({ status: 200 })
  await vi.waitFor(() => expect(running.sessions.recent()).toHaveLength(3), PATIENT)
  await close()
})

test('what waits is bounded, and what was lost is told', async () => {
  const otlp = await receiver()
  const told: string[] = []
  const held: ServerResponse[] = []
  otlp.answer = (response) => held.push(response)
  const settings = { headers: new Map(), metrics: false, logs: true, intervalMs: 1000 }
  const sending = startOtlp(
    { endpoint: `http://127.0.0.1:${otlp.port}`, ...settings },
    { version: '1', onProblem: (line) => told.push(line) },
  )
  onTestFinished(() => sending.close(0))
  const record = sampleRecord()
  for (let at = 0; at < 5000; at++) sending.session(record)
  await vi.waitFor(() => expect(held).toHaveLength(1), PATIENT)
  otlp.answer = TAKEN
  held[0]?.writeHead(503, { 'retry-after': '1' }).end()
  await vi.waitFor(() => expect(told).toHaveLength(2), PATIENT)
  expect(told).toEqual([
    `OpenTelemetry cannot be delivered to http://127.0.0.1:${otlp.port}/v1/logs: it answers 503; it is tried again`,
    'OpenTelemetry is delivered again; 2,952 log records went meanwhile',
  ])
})

test('a receiver that refuses is not asked the same again, and its reason is told', async () => {
  const otlp = await receiver()
  const told: string[] = []
  otlp.answer = (response) => response.writeHead(401).end()
  const sending = startOtlp(
    { endpoint: `http://127.0.0.1:${otlp.port}`, headers: new Map(), metrics: false, logs: true, intervalMs: 1000 },
    { version: '1', onProblem: (line) => told.push(line) },
  )
  onTestFinished(() => sending.close(0))
  sending.session(sampleRecord())
  await vi.waitFor(() => expect(told).toEqual([expect.stringContaining('it answers 401')]), PATIENT)
  otlp.answer = (response) =>
    response.end(JSON.stringify({ partialSuccess: { rejectedLogRecords: '1', errorMessage: 'too old' } }))
  sending.session(sampleRecord())
  await vi.waitFor(() => expect(otlp.received).toHaveLength(2), PATIENT)
  otlp.answer = TAKEN
  sending.session(sampleRecord())
  await vi.waitFor(() => expect(told).toHaveLength(2), PATIENT)
  expect(told[1]).toBe('OpenTelemetry is delivered again; 1 log record went meanwhile')
  expect(otlp.received.map(({ body }) => body.resourceLogs[0].scopeLogs[0].logRecords.length)).toEqual([1, 1, 1])
})
