// Passwords as scrypt hashes (RFC 7914), computed off the main thread and compared in constant time. Text is normalised
// to Unicode form C first (RFC 8265 section 4.2), so that a password is the same on every keyboard.

import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'

/** Parameters of new hashes: about 10 ms and 4 MiB each, enough to slow down guessing the passwords of a lab. */
const COST = { N: 4096, r: 8, p: 1 }
const SALT_BYTES = 16
const HASH_BYTES = 32

/** One hash with its parameters. */
export interface PasswordHash {
  readonly cost: { readonly N: number; readonly r: number; readonly p: number }
  readonly salt: Buffer
  readonly hash: Buffer
}

/** Hashes a password with a new salt. */
export async function hashPassword(password: string): Promise<PasswordHash> {
  const salt = randomBytes(SALT_BYTES)
  return { cost: COST, salt, hash: await derive(password, salt, COST, HASH_BYTES) }
}

/** Whether the password matches. Takes equally long either way. */
export async function verifyPassword(password: string, { cost, salt, hash }: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, salt, cost, hash.length), hash)
}

/** A hash that matches no password and costs as much to check as `model` (or a new hash). */
export function decoyHash(model?: PasswordHash): PasswordHash {
  const { cost, hash } = model ?? { cost: COST, hash: { length: HASH_BYTES } }
  return { cost, salt: randomBytes(SALT_BYTES), hash: randomBytes(hash.length) }
}

/** `scrypt$N$r$p$salt$hash`, as in a configuration file. */
export function formatPasswordHash({ cost: { N, r, p }, salt, hash }: PasswordHash): string {
  return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$')
}

/** Parses the output of {@link formatPasswordHash}. Throws RangeError for any other text (the loader has refused it
 *  before). */
export function parsePasswordHash(text: string): PasswordHash {
  const [scheme, N, r, p, salt, hash] = text.split('$')
  if (scheme !== 'scrypt' || salt === undefined || hash === undefined) throw new RangeError('not a password hash')
  const cost = { N: Number(N), r: Number(r), p: Number(p) }
  return { cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') }
}

/** Two at a time: file and name lookups share Node's thread pool and must not queue behind logins. */
const MOST_AT_ONCE = 2
const waiting: (() => void)[] = []
let running = 0

async function derive(
  password: string,
  salt: Buffer,
  { N, r, p }: PasswordHash['cost'],
  length: number,
): Promise<Buffer> {
  if (running >= MOST_AT_ONCE) await new Promise<void>((resume) => void waiting.push(resume))
  else running++
  const options: ScryptOptions = { N, r, p, maxmem: 256 * N * r + 1024 * 1024 }
  try {
    return await new Promise((resolve, reject) => {
      scrypt(password.normalize('NFC'), salt, length, options, (error, hash) => (error ? reject(error) : resolve(hash)))
    })
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}
