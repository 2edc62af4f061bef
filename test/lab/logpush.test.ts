// Logpush of a running lab: jobs made at the API push what curl did, packed, in the chosen form, to real receivers.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test, vi } from 'vitest'
import { sampleRecord } from '../log/sample-record.ts'
import { curl } from '../support/curl.ts'
import { PATIENCE_MS, PATIENT } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const TOKEN = 'a-token-for-logpush'

interface Upload {
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

/** A receiver that answers with the statuses given, then 200; uploads in the order they came. */
async function receiver(statuses: readonly number[] = []) {
  const left = [...statuses]
  const uploads: Upload[] = []
  const waiting: (() => void)[] = []
  const server = createServer(async (request, response) => {
    const bytes = await buffer(request)
    uploads.push({ url: request.url ?? '', headers: request.headers, text: gunzipSync(bytes).toString() })
    response.writeHead(left.shift() ?? 200).end()
    for (const wake of waiting.splice(0)) wake()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    server,
    uploads,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** resolves once there are so many */
    async count(wanted: number): Promise<readonly Upload[]> {
      while (uploads.length < wanted) {
        const { promise, resolve } = Promise.withResolvers<void>()
        waiting.push(resolve)
        await promise
      }
      return uploads
    },
  }
}

async function lab(options: Parameters<typeof startPrivateLab>[0] = {}) {
  const running = await startPrivateLab({ apiToken: TOKEN, ...options })
  onTestFinished(() => running.close())
  return running
}

/** Tests look into results of every shape. */
interface Envelope {
  readonly success: boolean
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly result: any
  readonly errors: readonly { readonly code: number; readonly message: string }[]
  readonly messages: readonly { readonly message: string }[]
}

async function ask({ lab: { api, config } }: PrivateLab, method: string, path: string, body?: unknown) {
  const answer = await fetch(`http://127.0.0.1:${api.port}/client/v4/accounts/${config.account.id}/logpush${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const envelope = (await answer.json()) as Envelope
  return { status: answer.status, ...envelope }
}

const visit = (running: PrivateLab, user = 'bob') =>
  curl('-x', running.proxy, '-U', `${user}@example.com:lab-${user}`, 'http://ipv4.icanhazip.com/')

const JOB = { dataset: 'zero_trust_network_sessions', enabled: true }

test('a job pushes packed batches to an HTTP endpoint, with its fields, timestamps and filter; parameters become headers', async () => {
  const { url, count } = await receiver()
  const running = await lab()
  const made = await ask(running, 'POST', '/jobs', {
    ...JOB,
    name: 'siem',
    destination_conf: `${url}/in?header_Authorization=Splunk%20a+b%3D&tags=host:lab`,
    output_options: { field_names: ['SessionStartTime', 'Email', 'EgressIP'], timestamp_format: 'rfc3339' },
    filter: '{"where":{"key":"Email","operator":"eq","value":"bob@example.com"}}',
  })
  expect(made).toMatchObject({
    status: 200,
    success: true,
    result: { id: expect.any(Number), name: 'siem', enabled: true, last_complete: null },
  })
  const [trial] = await count(1)
  expect(trial?.text).toBe('{"content":"tests"}')

  await visit(running, 'alice')
  await visit(running)
  const [, batch] = await count(2)
  expect(batch?.url).toBe('/in?tags=host:lab')
  expect(batch?.headers).toMatchObject({ authorization: 'Splunk a+b=', 'content-encoding': 'gzip' })
  expect(batch?.text).toMatch(
    /^\{"SessionStartTime":"[-\d]+T[:\d]+Z","Email":"bob@example.com","EgressIP":"203.0.113.10"\}\n$/,
  )
  await vi.waitFor(async () => {
    const { result } = await ask(running, 'GET', `/jobs/${made.result.id}`)
    expect(result).toMatchObject({ last_complete: expect.stringMatching(/Z$/), error_message: null })
  }, PATIENT)
})

test('what a destination refuses is tried again, and the job tells; traffic goes on meanwhile', async () => {
  const { url, count } = await receiver([200, 503, 500])
  const running = await lab()
  const { result } = await ask(running, 'POST', '/jobs', {
    ...JOB,
    destination_conf: `${url}?header_X-Secret=do-not-tell`,
    output_options: { field_names: ['Email'] },
  })
  await visit(running)
  await count(2)
  expect((await visit(running)).body).toBe('203.0.113.10\n')
  await vi.waitFor(async () => {
    const { result: job } = await ask(running, 'GET', `/jobs/${result.id}`)
    expect(job.error_message).toBe('error writing object: error uploading: the endpoint answered 503')
    expect(job.last_error).toMatch(/Z$/)
  }, PATIENT)
  const uploads = await count(4)
  expect(uploads[3]?.text).toBe(uploads[1]?.text)
  expect(running.said()).toContain('the endpoint answered 503; it is tried again')
  expect(running.said()).not.toContain('do-not-tell')
})

test('what waits survives the end of the lab, and is delivered after the next start', async () => {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-logpush-state-'))
  onTestFinished(() => rmSync(state, { recursive: true, force: true }))
  const { server, url, count, uploads } = await receiver([200, 503])
  const first = await startPrivateLab({ apiToken: TOKEN, ephemeral: false, state })
  const { result } = await ask(first, 'POST', '/jobs', {
    ...JOB,
    destination_conf: url,
    output_options: { field_names: ['Email'] },
  })
  await visit(first)
  await count(2)
  const port = (server.address() as AddressInfo).port
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await visit(first, 'carol')
  await first.close()

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const second = await lab({ ephemeral: false, state })
  const text = async () => {
    for (let wanted = 3; ; wanted++) {
      const all = (await count(wanted))
        .slice(2)
        .map((upload) => upload.text)
        .join('')
      if (all.includes('carol')) return all
    }
  }
  expect(await text()).toBe('{"Email":"bob@example.com"}\n{"Email":"carol@example.com"}\n')
  expect((await ask(second, 'GET', '/jobs')).result).toMatchObject([{ id: result.id, enabled: true }])
  expect(uploads.every(({ text: each }) => each !== '')).toBe(true)
})

test('a killed lab loses nothing that was logged: what was not delivered comes after the next start', async () => {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-logpush-killed-'))
  onTestFinished(() => rmSync(state, { recursive: true, force: true }))
  const { url, count } = await receiver()
  const first = await startPrivateLab({ apiToken: TOKEN, ephemeral: false, state })
  const { result } = await ask(first, 'POST', '/jobs', {
    ...JOB,
    destination_conf: url,
    output_options: { field_names: ['Email'] },
  })
  await first.close()
  // as a process leaves it that ended in the middle of a line
  const folder = join(state, 'logpush', String(result.id))
  writeFileSync(join(folder, 'current.ndjson'), `${JSON.stringify(sampleRecord())}\n{"AccountID":"0123`)
  await lab({ ephemeral: false, state })
  expect((await count(2))[1]?.text).toBe('{"Email":"bob@example.com"}\n')
})

test('a folder needs its ownership challenge; batches come by day, whole, readable by their owner', async () => {
  const running = await lab()
  const folder = join(running.folder, 'siem')
  const destination_conf = `file://${folder}/{DATE}`
  const job = { ...JOB, destination_conf, output_options: { field_names: ['Email', 'OriginPort'], output_type: 'csv' } }
  expect(await ask(running, 'POST', '/jobs', job)).toMatchObject({
    status: 400,
    errors: [{ code: 1002, message: '`ownership_challenge` is missing: prove first that the folder is yours' }],
  })
  const { result: challenge } = await ask(running, 'POST', '/ownership', { destination_conf })
  expect(challenge).toMatchObject({
    valid: true,
    message: '',
    filename: expect.stringMatching(/ownership-challenge-[0-9a-f]{8}\.txt$/),
  })
  const ownership_challenge = readFileSync(challenge.filename, 'utf8')
  expect(await ask(running, 'POST', '/ownership/validate', { destination_conf, ownership_challenge })).toMatchObject({
    result: { valid: true },
  })
  const elsewhere = { destination_conf: `file://${folder}/other`, ownership_challenge }
  expect(await ask(running, 'POST', '/ownership/validate', elsewhere)).toMatchObject({ result: { valid: false } })
  expect(await ask(running, 'POST', '/jobs', { ...job, ownership_challenge: 'guess' })).toMatchObject({ status: 400 })
  expect(await ask(running, 'POST', '/jobs', { ...job, ownership_challenge })).toMatchObject({ status: 200 })

  await visit(running)
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '')
  const files = () =>
    existsSync(join(folder, day)) ? readdirSync(join(folder, day)).filter((name) => !name.startsWith('.')) : []
  await vi.waitFor(() => expect(files()).toHaveLength(1), PATIENT)
  const [name = ''] = files()
  expect(name).toMatch(/^\d{8}T\d{6}Z_\d{8}T\d{6}Z_[0-9a-f]{8}\.log\.gz$/)
  expect(gunzipSync(readFileSync(join(folder, day, name))).toString()).toBe('"bob@example.com",80\n')
})

test('destinations: an HTTP endpoint that refuses the test batch, folders elsewhere, other schemes, challenges for HTTP', async () => {
  const { url } = await receiver([403])
  const running = await lab()
  const refused = async (path: string, body: unknown) => {
    const { status, errors } = await ask(running, 'POST', path, body)
    return [status, errors[0]?.code, errors[0]?.message]
  }
  expect(await refused('/jobs', { ...JOB, destination_conf: url })).toEqual([
    400,
    1002,
    'error validating destination: error writing object: error uploading: the endpoint answered 403',
  ])
  expect((await refused('/ownership', { destination_conf: 'file:///etc/siem' }))[2]).toContain(
    'is outside the folders the lab may write to',
  )
  expect((await refused('/jobs', { ...JOB, destination_conf: 'file:///etc/siem' }))[2]).toContain(
    'is outside the folders the lab may write to',
  )
  expect((await refused('/jobs', { ...JOB, destination_conf: 's3://bucket/logs?region=eu-west-1' }))[2]).toBe(
    'the lab pushes to `https://`, `http://` and `file:///`, not to `s3://`',
  )
  expect((await refused('/ownership', { destination_conf: url }))[2]).toBe(
    'an HTTP destination needs no ownership challenge; create the job without one',
  )
  expect((await refused('/jobs', { ...JOB, dataset: 'gateway_dns', destination_conf: url }))[2]).toContain(
    'the lab has no data set `gateway_dns`',
  )
  expect((await refused('/jobs', { ...JOB, destination_conf: `${url}?header_A%0aB=1` }))[2]).toContain(
    'is not a header field',
  )
  expect((await refused('/jobs', { ...JOB, destination_conf: url, max_upload_records: 10 }))[0]).toBe(400)
  expect(await ask(running, 'POST', '/validate/destination', { destination_conf: url })).toMatchObject({
    result: { valid: true },
  })
  expect(await ask(running, 'GET', '/jobs')).toMatchObject({ result: [] })
})

test('a destination that never answers delays neither connections nor the end of the lab, which keeps what waits', async () => {
  let uploads = 0
  const hanging = Promise.withResolvers<void>()
  const server = createServer((request, response) => {
    request.resume()
    if (uploads++ === 0) response.end()
    else hanging.resolve()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const state = mkdtempSync(join(tmpdir(), 'egresslab-logpush-hangs-'))
  onTestFinished(() => rmSync(state, { recursive: true, force: true }))
  const running = await startPrivateLab({ apiToken: TOKEN, ephemeral: false, state })
  const destination_conf = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const { result } = await ask(running, 'POST', '/jobs', { ...JOB, destination_conf })
  await visit(running)
  await hanging.promise
  expect((await visit(running)).body).toBe('203.0.113.10\n')
  await running.close()
  const waiting = readdirSync(join(state, 'logpush', String(result.id))).filter((name) => /^\d+\.ndjson$/.test(name))
  expect(
    waiting
      .map((name) => readFileSync(join(state, 'logpush', String(result.id), name), 'utf8'))
      .join('')
      .match(/\n/g),
  ).toHaveLength(2)
})

test('jobs are listed, changed and deleted as Cloudflare does it', async () => {
  const { url, count, uploads } = await receiver()
  const running = await lab()
  const { result: made } = await ask(running, 'POST', '/jobs', {
    dataset: 'gateway_network',
    destination_conf: url,
    logpull_options: 'fields=DestinationPort',
  })
  expect(made).toEqual({
    id: expect.any(Number),
    name: null,
    dataset: 'gateway_network',
    destination_conf: url,
    enabled: false,
    filter: null,
    frequency: 'high',
    kind: '',
    logpull_options: 'fields=DestinationPort',
    max_upload_bytes: null,
    max_upload_interval_seconds: null,
    max_upload_records: null,
    output_options: null,
    last_complete: null,
    last_error: null,
    error_message: null,
  })
  await visit(running)
  expect(await ask(running, 'PUT', `/jobs/${made.id}`, { ...made, enabled: true })).toMatchObject({
    result: { ...made, enabled: true },
  })
  await visit(running, 'carol')
  // the first visit was before the job was switched on
  expect((await count(2))[1]?.text).toBe('{"DestinationPort":80}\n')
  expect(await ask(running, 'PUT', `/jobs/${made.id}`, { dataset: 'gateway_http' })).toMatchObject({ status: 400 })
  expect(await ask(running, 'GET', '/datasets/gateway_network/jobs')).toMatchObject({ result: [{ id: made.id }] })
  expect(await ask(running, 'GET', '/datasets/gateway_http/jobs')).toMatchObject({ result: [] })
  expect((await ask(running, 'GET', '/datasets/gateway_network/fields')).result).toMatchObject({
    TransportProtocol: 'string',
    Datetime: 'int or string',
  })
  expect(await ask(running, 'POST', '/validate/destination/exists', { destination_conf: url })).toMatchObject({
    result: { exists: true },
  })
  expect(
    await ask(running, 'POST', '/validate/origin', { dataset: 'gateway_network', logpull_options: 'fields=Nope' }),
  ).toMatchObject({ result: { valid: false, message: expect.stringContaining('has no field `Nope`') } })
  expect(await ask(running, 'DELETE', `/jobs/${made.id}`)).toMatchObject({ result: { id: made.id } })
  expect(await ask(running, 'GET', `/jobs/${made.id}`)).toMatchObject({ status: 404 })
  await visit(running)
  expect(uploads).toHaveLength(2)
})

test('a job for gateway_http says what the lab cannot know', async () => {
  const { url } = await receiver()
  const { messages } = await ask(await lab(), 'POST', '/jobs', { dataset: 'gateway_http', destination_conf: url })
  expect(messages[0]?.message).toContain('one record per connection')
})

test('what a job pushed is a recording that replay reads', async () => {
  const { url, count } = await receiver()
  const running = await lab()
  await ask(running, 'POST', '/jobs', { ...JOB, destination_conf: url })
  await visit(running)
  const [, batch] = await count(2)
  const folder = join(running.folder, 'recordings')
  mkdirSync(folder)
  writeFileSync(join(folder, 'batch.log'), batch?.text ?? '')
  const args = ['src/main.ts', 'replay', join(folder, 'batch.log'), '--json']
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: PATIENCE_MS })
  expect(JSON.parse(stdout)).toMatchObject({ sessions: 1, decided: 1, compared: 1, changed: 0, missing: {} })
})
