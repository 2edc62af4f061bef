// Where Logpush jobs put their batches: an HTTP endpoint, or a folder of this machine. Storage (here: folders) has to be proven
// one's own before a job may write there, by a challenge that is written to it; an HTTP endpoint has to take a test batch.
// Refuses folders outside the lab's own and the one it was started in. Never tells what is in a destination's headers.

import { createHash, randomBytes } from 'node:crypto'
import { readFile, realpath, rename, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { jwtVerify, SignJWT } from 'jose'
import { type Dispatcher, request } from 'undici'
import { makeFolder } from '../config/files.ts'
import { ChangeError } from '../errors/change-error.ts'
import { errnoOf } from '../errors/thrown.ts'

export type LogpushDestination =
  | { readonly kind: 'http'; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  /** `{DATE}` in the path stands for the day of a batch */
  | { readonly kind: 'folder'; readonly path: string }

const OWNER_ONLY = 0o600
const TOKEN_CHARACTERS = /^[!#$%&'*+\-.^_`|~\w]+$/
const UPLOAD_TIMEOUT_MS = 30_000

/** Reads a `destination_conf`: `https://…` or `http://…`, whose `header_NAME` parameters become header fields, or
 *  `file:///…`. Throws ChangeError `change.invalid`. */
export function parseDestination(written: string): LogpushDestination {
  const url = URL.parse(written)
  if (url === null) throw invalid('`destination_conf` is not a URL')
  if (url.protocol === 'file:') {
    if (url.host !== '') throw invalid('a folder is written `file:///absolute/path`')
    return { kind: 'folder', path: fileURLToPath(new URL(url.href.replace(/[?#].*$/s, ''))) }
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    const scheme = `${url.protocol}//`
    throw invalid(`the lab pushes to \`https://\`, \`http://\` and \`file:///\`, not to \`${scheme}\``)
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid('`destination_conf` has a login; send it as `header_Authorization`')
  }
  const parameters = url.search.slice(1).split('&')
  const headers = parameters.flatMap((parameter) => headerIn(parameter) ?? [])
  url.search = parameters.filter((parameter) => !parameter.startsWith('header_')).join('&')
  return { kind: 'http', url: url.href, headers: Object.fromEntries(headers) }
}

function headerIn(parameter: string): readonly [readonly [string, string]] | undefined {
  const [, name = '', value = ''] = /^header_([^=]*)=?(.*)$/s.exec(parameter) ?? []
  if (!parameter.startsWith('header_')) return undefined
  try {
    // a plus sign is one, as in tokens: no form sends these
    const [field, text] = [decodeURIComponent(name), decodeURIComponent(value)]
    if (TOKEN_CHARACTERS.test(field) && !/[\r\n\0]/.test(text)) return [[field, text]]
  } catch {
    // said below
  }
  throw invalid(`the parameter \`header_${name}\` is not a header field`)
}

function invalid(message: string): ChangeError {
  return new ChangeError('change.invalid', message)
}

/** `uploading` in what Cloudflare says of a destination that takes nothing. */
const REFUSED = 'error validating destination: error writing object: error uploading'

export interface LogpushDestinations {
  /** Is the destination good for a job? Throws ChangeError: an endpoint that refuses the test batch, a folder that is not
   *  to be written to. */
  check(written: string): Promise<void>
  /** Does a job need a challenge for it? HTTP endpoints do not. Throws ChangeError, also for a folder that no challenge makes
   *  good. */
  needsChallenge(written: string): Promise<boolean>
  /** Writes a challenge into the folder; the answer is its file. Throws ChangeError. */
  challenge(written: string): Promise<string>
  /** Is this the challenge of the destination, and not too old? Never throws. */
  isAnswered(written: string, token: string): Promise<boolean>
  /** Delivers a batch. Throws with the reason; nothing is left half done. */
  deliver(destination: LogpushDestination, batch: LogpushBatch): Promise<void>
}

export interface LogpushBatch {
  /** `20261121T120400Z_20261121T120430Z_1a2b3c4d.log.gz` */
  readonly name: string
  /** packed with gzip */
  readonly bytes: Uint8Array
  readonly signal: AbortSignal
}

export interface DestinationSettings {
  readonly accountId: string
  /** where the lab keeps the key it signs challenges with */
  readonly keyFile: string
  /** folders below which it may write */
  readonly roots: readonly string[]
  readonly userAgent: string
  readonly dispatcher: Dispatcher
}

/** What delivers files to destinations: a request of HTTP, or a file below one of the folders allowed. Also proves
 *  that a destination is its owner's, by Cloudflare's challenge. */
export function createDestinations(settings: DestinationSettings): LogpushDestinations {
  const { accountId, keyFile, roots, userAgent, dispatcher } = settings

  async function upload(
    { url, headers }: HttpDestination,
    { bytes, signal }: Omit<LogpushBatch, 'name'>,
  ): Promise<void> {
    const { statusCode, body } = await request(url, {
      method: 'POST',
      headers: {
        'content-type': 'text/plain; charset=utf-8',
        'content-encoding': 'gzip',
        'user-agent': userAgent,
        ...headers,
      },
      body: bytes,
      dispatcher,
      signal: AbortSignal.any([signal, AbortSignal.timeout(UPLOAD_TIMEOUT_MS)]),
    })
    await body.dump()
    if (statusCode < 200 || statusCode > 299) throw new Error(`the endpoint answered ${statusCode}`)
  }

  async function checkFolder(path: string): Promise<string> {
    const folder = withoutPlaceholders(path)
    const allowed = await Promise.all(roots.map((root) => realpath(root).catch(() => root)))
    const real = await nearestReal(folder)
    if (allowed.some((root) => isWithin(root, real))) return folder
    throw invalid(
      `\`${folder}\` is outside the folders the lab may write to: ${roots.map((root) => `\`${root}\``).join(', ')}`,
    )
  }

  return {
    async check(written) {
      const destination = parseDestination(written)
      if (destination.kind === 'folder') {
        requireFolder(await checkFolder(destination.path))
        return
      }
      const bytes = gzipSync('{"content":"tests"}')
      await upload(destination, { bytes, signal: AbortSignal.timeout(UPLOAD_TIMEOUT_MS) }).catch((thrown: unknown) => {
        throw invalid(`${REFUSED}: ${reasonOf(thrown)}`)
      })
    },
    async needsChallenge(written) {
      const destination = parseDestination(written)
      if (destination.kind === 'folder') await checkFolder(destination.path)
      return destination.kind === 'folder'
    },
    async challenge(written) {
      const destination = parseDestination(written)
      if (destination.kind !== 'folder') {
        throw invalid('an HTTP destination needs no ownership challenge; create the job without one')
      }
      const folder = await checkFolder(destination.path)
      requireFolder(folder)
      const file = join(folder, `ownership-challenge-${randomBytes(4).toString('hex')}.txt`)
      const token = await new SignJWT({ ...claimsOf(accountId, written, destination.path) })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('7d')
        .sign(await keyIn(keyFile))
      await writeFile(file, token, { mode: OWNER_ONLY, flag: 'wx' })
      return file
    },
    async isAnswered(written, token) {
      try {
        const destination = parseDestination(written)
        if (destination.kind !== 'folder') return false
        const { payload } = await jwtVerify(token.trim(), await keyIn(keyFile), { algorithms: ['HS256'] })
        const wanted = claimsOf(accountId, written, destination.path)
        return Object.entries(wanted).every(([name, value]) => payload[name] === value)
      } catch {
        return false
      }
    },
    async deliver(destination, batch) {
      if (destination.kind === 'http') await upload(destination, batch)
      else {
        const day = batch.name.slice(0, 8)
        const folder = destination.path.replaceAll('{DATE}', day)
        await checkFolder(destination.path)
        await writeBatch(folder, batch)
      }
    },
  }
}

type HttpDestination = Extract<LogpushDestination, { readonly kind: 'http' }>

/** The folder up to the first part that changes with the day. */
function withoutPlaceholders(path: string): string {
  const at = path.indexOf('{DATE}')
  return at < 0 ? path : dirname(`${path.slice(0, at)}x`)
}

function requireFolder(folder: string): void {
  try {
    makeFolder(folder, 0o700)
  } catch (thrown) {
    throw invalid(`\`${folder}\` cannot be made a folder: ${reasonOf(thrown)}`)
  }
}

/** Whole or not at all: whoever watches the folder never reads half a batch. */
async function writeBatch(folder: string, { name, bytes }: LogpushBatch): Promise<void> {
  makeFolder(folder, 0o700)
  const partial = join(folder, `.${name}.partial`)
  await writeFile(partial, bytes, { mode: OWNER_ONLY })
  await rename(partial, join(folder, name))
}

/** The real path of what exists of it already; links lead nowhere else. */
async function nearestReal(path: string): Promise<string> {
  return realpath(path).catch((thrown: unknown) => {
    if (errnoOf(thrown) !== 'ENOENT' || dirname(path) === path) throw invalid(`\`${path}\` cannot be read`)
    return nearestReal(dirname(path))
  })
}

function isWithin(root: string, path: string): boolean {
  const between = relative(root, path)
  return between === '' || !(between.startsWith('..') || isAbsolute(between))
}

/** What a challenge is bound to: nobody can use it for another account or place. */
function claimsOf(accountId: string, written: string, path: string): Readonly<Record<string, string>> {
  const fingerprint = createHash('sha256').update(path).digest('hex')
  return {
    object_type: 'account',
    object_id: accountId,
    destination_conf: written,
    destination_fingerprint: fingerprint,
  }
}

async function keyIn(file: string): Promise<Uint8Array> {
  makeFolder(dirname(file), 0o700)
  await writeFile(file, randomBytes(32), { mode: OWNER_ONLY, flag: 'wx' }).catch((thrown: unknown) => {
    if (errnoOf(thrown) !== 'EEXIST') throw thrown
  })
  return readFile(file)
}

/** In words, without the destination: it may hold a secret. */
export function reasonOf(thrown: unknown): string {
  const code = errnoOf(thrown)
  if (code !== '') return code
  if (!(thrown instanceof Error)) return String(thrown)
  return thrown.name === 'TimeoutError' ? 'no answer in time' : thrown.message
}
