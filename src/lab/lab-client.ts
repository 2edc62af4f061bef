// Talks to a running lab over its own API, and turns every way that can fail into a sentence that says what to do.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Agent, type Dispatcher, request } from 'undici'
import { parsePeriodMs, parsePublicUrl } from '../config/formats.ts'
import { loadConfig } from '../config/load.ts'
import { startCommand } from '../config/own-package.ts'
import { type ApiSettings, ownUrl } from '../config/read-api.ts'
import { InputError, inputError } from '../errors/issue.ts'
import { errnoOf, messageOf } from '../errors/thrown.ts'

const TIMEOUT_MS = 15_000

type Method = Parameters<LabClient['ask']>[0]

export interface LabAccess {
  readonly url: string
  readonly token: string
  /** the token is that of EGRESSLAB_API_TOKEN, not of the state folder */
  readonly isTokenGiven?: boolean
  /** knows the lab's certificate; absent: plain HTTP, or what this machine trusts */
  readonly dispatcher?: Dispatcher | undefined
}

/** Makes sure that a lab answers and that there is a token for it. Throws an InputError. */
export async function connectLab(options: LabAddressOptions, env: NodeJS.ProcessEnv = process.env): Promise<LabClient> {
  return labClient(await accessLab(options, env), options)
}

/** How refusals are told. */
interface RefusalOptions {
  /** the lab's state folder, for messages */
  readonly state: string
  /** issues have the path of the member of the body that was refused */
  readonly withPaths?: boolean
  readonly isTokenGiven: boolean
}

/** A client of a lab that is known to answer. */
export function labClient(access: LabAccess, given: Omit<RefusalOptions, 'isTokenGiven'>): LabClient {
  const { url, dispatcher, isTokenGiven = false } = access
  const options = { ...given, isTokenGiven }
  const call = (method: Method, path: string, signal: AbortSignal, body?: unknown) =>
    send(url, path, {
      method,
      ...(dispatcher === undefined ? {} : { dispatcher }),
      signal,
      headers: { authorization: `Bearer ${access.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  return {
    url,
    async ask(method, path, body) {
      const answer = await call(method, path, AbortSignal.timeout(TIMEOUT_MS), body)
      return resultOf(answer, url, options)
    },
    async *follow(path, signal): AsyncGenerator<LabEvent> {
      const answer = await call('GET', path, signal)
      if (answer.statusCode !== 200) throw await refusalOf(answer, url, options)
      yield* readEvents(answer.body, signal)
    },
  }
}

/** Seconds of a duration as people write it, `-` in front for back. Throws an InputError. */
export function secondsOf(duration: string): number {
  const back = duration.startsWith('-')
  const milliseconds = parsePeriodMs(back ? duration.slice(1) : duration)
  if (milliseconds !== undefined) return ((back ? -1 : 1) * milliseconds) / 1000
  const message = `invalid duration \`${duration}\``
  throw problem('clock.bad_duration', message, 'write a number and a unit: `90s`, `15m`, `8h`, `7d`, `6w`')
}

/** Where the lab is and the token for it. Throws an InputError where nobody listens or no token can be found. */
export async function accessLab(options: LabAddressOptions, env: NodeJS.ProcessEnv = process.env): Promise<LabAccess> {
  const api = options.api === undefined ? loadConfig(options.config).api : undefined
  const url = api === undefined ? urlFrom(options.api ?? '') : ownUrl(api, api.port)
  const dispatcher = api === undefined ? undefined : await dispatcherFor(api, options.state)
  const { headers, body } = await send(url, '/lab/v1/health/live', {
    method: 'GET',
    ...(dispatcher === undefined ? {} : { dispatcher }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  await body.dump()
  if (headers['egresslab-revision'] === undefined) throw notALab(url)
  const isTokenGiven = (env.EGRESSLAB_API_TOKEN ?? '') !== ''
  return { url, token: tokenFrom(options.state, env), isTokenGiven, dispatcher }
}

async function dispatcherFor(api: ApiSettings, state: string): Promise<Dispatcher | undefined> {
  if (api.tls === undefined) return undefined
  const { certificatesFolder } = await import('./certificates.ts')
  return dispatcherTo(api, join(certificatesFolder(state), 'ca.pem'))
}

/** Knows the certificate that a lab of this configuration has, or its authority; that is proof enough, whatever name it is for and
 *  whoever signed it. Undefined where there is no TLS. Throws an InputError. */
export function dispatcherTo({ tls }: Pick<ApiSettings, 'tls'>, authorityFile: string): Dispatcher | undefined {
  if (tls === undefined) return undefined
  const file = tls.kind === 'files' ? tls.certificate : authorityFile
  let ca: string
  try {
    ca = readFileSync(file, 'utf8')
  } catch (thrown) {
    throw problem('lab.no_certificate', `the certificate of the API \`${file}\` cannot be read: ${messageOf(thrown)}`)
  }
  return new Agent({ connect: { ca, allowPartialTrustChain: true, checkServerIdentity: () => undefined } })
}

function urlFrom(text: string): string {
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `http://${text}`)
  const hasPort = /^(?:http:\/\/)?(\[[\da-fA-F:.]+\]|[\w.-]+):(\d{1,5})\/?$/.test(text)
  if (url !== null && (hasPort || parsePublicUrl(text) !== undefined))
    return url.origin + url.pathname.replace(/\/$/, '')
  const hint = 'write it as `127.0.0.1:8090` or `https://tools.corp.example/egresslab`'
  throw problem('lab.bad_address', `invalid API address \`${text}\``, hint)
}

function tokenFrom(state: string, env: NodeJS.ProcessEnv): string {
  const { EGRESSLAB_API_TOKEN: given = '' } = env
  if (given !== '') return given
  const file = join(state, 'api-token')
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (thrown) {
    const reason = errnoOf(thrown) || messageOf(thrown)
    const why = reason === 'ENOENT' ? 'does not exist' : `cannot be read (${reason})`
    const hint = "pass the lab's state folder with `--state DIR`, or set EGRESSLAB_API_TOKEN"
    throw problem('lab.no_token', `no token for the API: EGRESSLAB_API_TOKEN is not set and \`${file}\` ${why}`, hint)
  }
}

interface Sending {
  readonly method: Method
  readonly signal: AbortSignal
  readonly dispatcher?: Dispatcher
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

async function send(url: string, path: string, sending: Sending): Promise<Dispatcher.ResponseData> {
  try {
    return await request(url + path, { ...sending, bodyTimeout: 0 })
  } catch (thrown) {
    throw unreachable(url, thrown)
  }
}

function unreachable(url: string, thrown: unknown): InputError {
  const code = errnoOf(thrown)
  if (code === 'ECONNREFUSED') {
    const hint = `start one with \`${startCommand()}\`, or pass its address with \`--api HOST:PORT\``
    return problem('lab.not_running', `no lab is running at ${url}`, hint)
  }
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError')
    return problem('lab.silent', `the lab at ${url} does not answer`)
  const reason = messageOf(thrown)
  return problem('lab.unreachable', `cannot reach the lab at ${url}: ${reason}`)
}

async function resultOf(answer: Dispatcher.ResponseData, url: string, options: RefusalOptions): Promise<unknown> {
  if (answer.statusCode >= 300) throw await refusalOf(answer, url, options)
  const body: unknown = await answer.body.json().catch(() => undefined)
  if (typeof body !== 'object' || body === null || !('result' in body)) throw notALab(url)
  return body.result
}

/** The lab's own words where it has some. */
async function refusalOf(
  answer: Dispatcher.ResponseData,
  url: string,
  { state, withPaths = false, isTokenGiven }: RefusalOptions,
): Promise<InputError> {
  const body: unknown = await answer.body.json().catch(() => undefined)
  if (answer.statusCode === 401) {
    const hint = isTokenGiven
      ? 'EGRESSLAB_API_TOKEN belongs to another lab, was revoked or has ended: unset it to use the token in the state folder'
      : `\`${state}\` may not be its state folder: pass the right one with \`--state DIR\`, or set EGRESSLAB_API_TOKEN`
    return problem('lab.token_refused', `the lab at ${url} rejects this token`, hint)
  }
  const errors: unknown = Object(body).errors
  if (!Array.isArray(errors) || errors.length === 0) return notALab(url)
  return new InputError(
    errors.map((error: unknown) => ({
      severity: 'error' as const,
      code: `lab.${answer.statusCode}`,
      message: String(Object(error).message),
      ...(withPaths ? pathOf(Object(error)) : {}),
    })),
  )
}

/** The member that an error is about: by a JSON pointer (RFC 6901), or by its details. */
function pathOf({ source, details }: { readonly source?: unknown; readonly details?: unknown }): { path?: string[] } {
  const pointer: unknown = Object(source).pointer
  if (typeof pointer === 'string') {
    const steps = pointer.split('/').filter((step) => step !== '')
    return { path: steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')) }
  }
  const {
    expression,
    precedence,
    field = expression ?? (precedence === undefined ? undefined : 'precedence'),
  } = Object(details)
  return typeof field === 'string' ? { path: field.split('.') } : {}
}

function notALab(url: string): InputError {
  return problem(
    'lab.not_a_lab',
    `no egresslab is running at ${url} (something else answered)`,
    "pass the lab's address with `--api HOST:PORT`",
  )
}

function problem(code: string, message: string, hint?: string): InputError {
  return inputError(code, message, { hint })
}

/** The events until the stream ends, breaks off, or `signal` fires. */
export async function* readEvents(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<LabEvent> {
  let text = ''
  const decoder = new TextDecoder()
  try {
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) yield* eventOf(block)
    }
  } catch (thrown) {
    // a stream that breaks off has ended
    const isCut = thrown instanceof Error && 'code' in thrown
    if (!signal.aborted && !isCut) throw thrown
  }
}

function* eventOf(block: string): Generator<LabEvent> {
  const lines = block.split('\n')
  const fieldOf = (field: string) =>
    lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2))
  const data = fieldOf('data')
  if (data.length > 0) yield { event: fieldOf('event')[0] ?? 'message', data: JSON.parse(data.join('\n')) }
}

export interface LabClient {
  /** `http://127.0.0.1:8090` */
  readonly url: string
  /** One request; answers the `result` of the envelope. Throws an InputError saying what is wrong: nobody listens, the token is
   *  refused, or the lab's own words. */
  readonly ask: (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<unknown>
  /** Follows an event stream until the lab ends it or `signal` fires. Throws an InputError like `ask`. */
  readonly follow: (path: string, signal: AbortSignal) => AsyncIterable<LabEvent>
}

export interface LabEvent {
  readonly event: string
  readonly data: unknown
}

/** Options that say which lab is meant. */
export interface LabAddressOptions {
  readonly config: string
  readonly state: string
  readonly api?: string
  readonly json?: true
}
