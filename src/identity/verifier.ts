// Email and password in, the user out. Each distinct pair pays for scrypt once: what proved right is remembered, under a
// keyed hash. What proved wrong answers alike, whether there is such a user or not (AU-01), ever later (AU-02).

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
  /** The user; at once where these credentials were right before. Throws or rejects with `identity.rejected`. */
  verify(login: Login): ConfiguredUser | Promise<ConfiguredUser>
}

/** Time for the back-off. `wait` resolves after so many milliseconds. */
export interface CredentialDelay {
  readonly backOff: BackOff
  readonly wait: (ms: number) => Promise<void>
}

/** Waits that do not keep the process alive. */
export async function waitUnreferenced(ms: number): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { ref: false })
}

const MOST_REMEMBERED = 10_000
/** Attempts under one name from one source that may wait in line; further ones are wrong without being looked at. */
const MOST_IN_LINE = 16

/** A verifier for one directory; a new directory gets a new one, so nothing remembered outlives it. */
export function createVerifier(directory: Directory, { backOff, wait }: CredentialDelay): Verifier {
  const key = randomBytes(32)
  const prefix = key.toString('base64')
  // a look-up key that never leaves the process, made for every connection: hashing in one call costs 2 µs where an HMAC object costs 15
  const digest = (text: string) => hash('sha256', `${prefix}${text}`, 'latin1')
  const hashOf = createHashes(directory, key)
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

  /** Attempts under one name from one source go one after the other, so that waiting slows down all of them. */
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

/** The hash to check a name against. Plain passwords are hashed one after the other in the background, or when first asked
 *  for, and whoever asks hears of a failure; a name nobody has gets a decoy that costs what some real user's hash costs, always the same for one name. */
function createHashes(directory: Directory, key: Buffer): (email: string) => Promise<PasswordHash> {
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
  warmUp().catch(() => undefined)
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

/** `logged`: what the log is told beside; free of secrets. */
export function wrongCredentials(logged?: string): GatewayError {
  return new GatewayError('identity.rejected', 'the user name or the password is wrong', { logged })
}

/** Wrong attempts that cost nothing, the first wait, the longest wait (ms). */
const PER_NAME = { free: 3, firstMs: 100, mostMs: 3000 }
const PER_SOURCE = { free: 20, firstMs: 25, mostMs: 250 }
/** Without a wrong attempt for this long, all is forgotten. */
const FORGET_MS = 5 * 60_000
const MOST_ENTRIES = 10_000

export interface BackOff {
  /** how long the next attempt from this source under this name has to wait, in ms */
  delayMs(source: string, name: string): number
  failed(source: string, name: string): void
  succeeded(source: string, name: string): void
}

/** `now`: monotonic milliseconds. */
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
