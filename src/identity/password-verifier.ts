// Email and password in, the user out. Each distinct pair costs one scrypt hash: successful ones are cached under a
// keyed hash. Failures look the same whether the user exists or not (AU-01), and take increasingly long (AU-02). One
// verifier per directory of users: a reload makes a new one.

import { createHmac, hash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { lru } from 'tiny-lru'
import type { ConfiguredUser } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Directory } from './directory.ts'
import { decoyHash, hashPassword, type PasswordHash, parsePasswordHash, verifyPassword } from './password.ts'

export interface Login {
  /** canonical */
  readonly email: string
  readonly password: string
  /** the peer's address */
  readonly source: string
}

export interface Verifier {
  /** The user; synchronous if these credentials were verified before. Throws or rejects with `identity.rejected`. */
  verify(login: Login): ConfiguredUser | Promise<ConfiguredUser>
}

/** Time for the back-off. `wait` resolves after that many milliseconds. */
export interface CredentialDelay {
  readonly backOff: BackOff
  readonly wait: (ms: number) => Promise<void>
}

/** Waits that do not keep the process alive. */
export async function waitUnreferenced(ms: number): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { ref: false })
}

const MOST_REMEMBERED = 10_000
/** Most queued attempts under one name from one source; further ones fail unchecked. */
const MOST_IN_LINE = 16

/** `hashes`: plain passwords are hashed ahead in the background (default), or when somebody sends one. */
interface PasswordHandling extends CredentialDelay {
  readonly hashes?: 'ahead' | 'on-use' | undefined
}

/** Creates the verifier of one directory. A new directory gets a new one, so cached results do not outlive it. */
export function createVerifier(directory: Directory, { backOff, wait, hashes }: PasswordHandling): Verifier {
  const key = randomBytes(32)
  const prefix = key.toString('base64')
  // a lookup key that never leaves the process, computed for every connection: a one-shot hash costs 2 µs, an HMAC
  // object 15
  const digest = (text: string) => hash('sha256', `${prefix}${text}`, 'latin1')
  const hashOf = createHashes(directory, key, hashes)
  const right = lru<ConfiguredUser>(MOST_REMEMBERED)
  const wrong = lru<true>(MOST_REMEMBERED)
  const underway = new Map<string, Promise<ConfiguredUser>>()
  const lines = new Map<string, { length: number; last: Promise<unknown> }>()

  async function attempt(login: Login, pair: string): Promise<ConfiguredUser> {
    const name = login.email
    await wait(backOff.delayMs(login.source, name))
    const known = directory.userOf(login.email)
    const isRight = !wrong.has(pair) && (await verifyPassword(login.password, await hashOf(login.email)))
    if (isRight && known?.password !== undefined) {
      backOff.succeeded(login.source, name)
      right.set(pair, known)
      return known
    }
    backOff.failed(login.source, name)
    wrong.set(pair, true)
    throw wrongCredentials()
  }

  /** Attempts under one name from one source are sequential, so that waiting slows all of them. */
  function queue(login: Login, pair: string): Promise<ConfiguredUser> {
    const name = `${login.source} ${login.email}`
    const line = lines.get(name) ?? { length: 0, last: Promise.resolve() }
    if (line.length >= MOST_IN_LINE) return Promise.reject(wrongCredentials())
    const turn = line.last.then(
      () => attempt(login, pair),
      () => attempt(login, pair),
    )
    line.length++
    line.last = turn
    lines.set(name, line)
    const leave = () => {
      line.length--
      if (line.length === 0) lines.delete(name)
    }
    turn.then(leave, leave)
    return turn
  }

  return {
    verify(login) {
      const pair = digest(`${login.email}\0${login.password}`)
      const user = right.get(pair)
      if (user !== undefined) return user
      const same = underway.get(pair)
      if (same !== undefined) return same
      const turn = queue(login, pair)
      underway.set(pair, turn)
      const done = () => underway.delete(pair)
      turn.then(done, done)
      return turn
    },
  }
}

/** The hash to check for a name. Plain passwords are hashed one after the other in the background, or on first use,
 *  which reports a failure. An unknown name gets a decoy that costs as much as some real user's hash, always the
 *  same one for a name. */
function createHashes(
  directory: Directory,
  key: Buffer,
  when: PasswordHandling['hashes'] = 'ahead',
): (email: string) => Promise<PasswordHash> {
  const withPassword = directory.users.filter(({ password }) => password !== undefined)
  const hashes = new Map<ConfiguredUser, Promise<PasswordHash>>()
  const realHash = (user: ConfiguredUser): Promise<PasswordHash> => {
    const found = hashes.get(user) ?? makeHash(user)
    hashes.set(user, found)
    return found
  }
  const warmUp = async () => {
    for (const user of withPassword) await realHash(user)
  }
  if (when === 'ahead') warmUp().catch(() => undefined)
  return async (email) => {
    const user = directory.userOf(email)
    if (user?.password !== undefined) return realHash(user)
    const number = createHmac('sha256', key).update(`decoy ${email}`).digest().readUInt32LE(0)
    const model = withPassword[number % Math.max(1, withPassword.length)]
    return decoyHash(model === undefined ? undefined : await realHash(model))
  }
}

async function makeHash({ password }: ConfiguredUser): Promise<PasswordHash> {
  if (password === undefined) return decoyHash()
  return password.kind === 'hash' ? parsePasswordHash(password.hash) : hashPassword(password.text.reveal())
}

/** `logged`: detail for the log only; without secrets. */
export function wrongCredentials(logged?: string): GatewayError {
  return new GatewayError('identity.rejected', 'the user name or the password is wrong', { logged })
}

/** Failed attempts without delay, the first delay and the longest delay (ms). */
const PER_NAME = { free: 3, firstMs: 100, mostMs: 3000 }
const PER_SOURCE = { free: 20, firstMs: 25, mostMs: 250 }
/** Failures are forgotten after this long without another one (ms). */
const FORGET_MS = 5 * 60_000
const MOST_ENTRIES = 10_000

export interface BackOff {
  /** how long the next attempt under this name from this source must wait, ms */
  delayMs(source: string, name: string): number
  failed(source: string, name: string): void
  succeeded(source: string, name: string): void
}

/** Creates the record of failed attempts. `now`: monotonic ms. */
export function createBackOff(now: () => number): BackOff {
  const entries = lru<{ failures: number; at: number }>(MOST_ENTRIES)
  const failuresOf = (key: string) => {
    const entry = entries.get(key)
    return entry === undefined || now() - entry.at > FORGET_MS ? 0 : entry.failures
  }
  const pair = (source: string, name: string) => `${source} ${name}`
  return {
    delayMs(source, name) {
      return Math.max(wait(failuresOf(pair(source, name)), PER_NAME), wait(failuresOf(source), PER_SOURCE))
    },
    failed(source, name) {
      for (const key of [pair(source, name), source]) entries.set(key, { failures: failuresOf(key) + 1, at: now() })
    },
    succeeded(source, name) {
      entries.delete(pair(source, name))
    },
  }
}

function wait(failures: number, { free, firstMs, mostMs }: typeof PER_NAME): number {
  return failures < free ? 0 : Math.min(mostMs, firstMs * 2 ** Math.min(failures - free, 20))
}
