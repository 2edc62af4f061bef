// The TLS certificates of test origins: an authority of this checkout and one leaf for all names. Created at the first
// start, stored in files, and renewed when they expire or names are added. Never added to a trust store.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, closeSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { makeFolder, readWholeFile } from '../config/files.ts'
import { type InputError, inputError } from '../errors/issue.ts'
import type { CertifiedKey } from './issue-certificates.ts'

export interface DevelopmentCertificates {
  /** file of the authority's certificate, for `curl --cacert` */
  readonly authorityFile: string
  /** the authority's certificate, PEM */
  readonly authority: string
  /** what servers present: PEM certificate and key */
  readonly leaf: CertifiedKey
  /** what this call created */
  readonly made: 'authority and leaf' | 'leaf' | 'nothing'
}

export interface CertificateRequest {
  readonly folder: string
  /** host names and addresses besides localhost, 127.0.0.1 and ::1 */
  readonly names: readonly string[]
  /** epoch ms, by the real clock: clients check with theirs */
  readonly now: number
}

const AUTHORITY = 'ca'
const LEAF = 'origins'
const ALWAYS = ['localhost', '127.0.0.1', '::1']
const DAY_MS = 86_400_000
/** a certificate valid for less than this (ms) is renewed */
const RENEW_BEFORE_MS = 30 * DAY_MS
/** how long names that are no longer requested are kept */
const MOST_NAMES_KEPT = 100
const LOCK_STALE_MS = 20_000
const LOCK_PATIENCE_MS = 30_000

/** Reads the certificates, and first creates any that is missing, expires within 30 days or lacks a name. Safe to
 *  call from several processes at once. Throws InputError if a key is readable by others or the folder cannot be
 *  written. */
export async function ensureDevelopmentCertificates(request: CertificateRequest): Promise<DevelopmentCertificates> {
  const names = [...new Set([...ALWAYS, ...request.names])]
  const ready = readGood(request.folder, names, request.now)
  if (ready.authority !== undefined && ready.leaf !== undefined) {
    return describe(request.folder, ready.authority, ready.leaf, 'nothing')
  }
  return withLock(request.folder, async () => {
    const { issueAuthority, issueLeaf } = await import('./issue-certificates.ts')
    const found = readGood(request.folder, names, request.now)
    const authority = found.authority ?? (await issueAuthority(request.now))
    if (found.authority === undefined) writeKeyPair(request.folder, AUTHORITY, authority)
    const leaf =
      found.leaf ?? (await issueLeaf(authority, [...new Set([...names, ...(found.names ?? [])])], request.now))
    if (found.leaf === undefined) writeKeyPair(request.folder, LEAF, leaf)
    const made = found.authority === undefined ? 'authority and leaf' : found.leaf === undefined ? 'leaf' : 'nothing'
    return describe(request.folder, authority, leaf, made)
  })
}

/** A leaf for these names, for as long as the process runs: the one in the folder if it has them, else a new one that is not
 *  written, so that names which come and go do not pile up there. Throws like {@link ensureDevelopmentCertificates}. */
export async function passingLeaf(request: CertificateRequest): Promise<CertifiedKey> {
  const { authority, leaf } = readGood(request.folder, request.names, request.now)
  if (leaf !== undefined) return leaf
  if (authority === undefined) return (await ensureDevelopmentCertificates(request)).leaf
  const { issueLeaf } = await import('./issue-certificates.ts')
  return issueLeaf(authority, request.names, request.now)
}

function describe(
  folder: string,
  authority: CertifiedKey,
  leaf: CertifiedKey,
  made: DevelopmentCertificates['made'],
): DevelopmentCertificates {
  return { authorityFile: certificateFile(folder, AUTHORITY), authority: authority.certificate, leaf, made }
}

interface Found {
  readonly authority?: CertifiedKey
  /** absent if it is unusable or lacks a name */
  readonly leaf?: CertifiedKey
  /** the names of the present leaf, so that labs with different names do not replace it in turn */
  readonly names?: readonly string[]
}

function readGood(folder: string, names: readonly string[], now: number): Found {
  const authority = readKeyPair(folder, AUTHORITY)
  const issuer = authority === undefined ? undefined : goodCertificate(authority, now)
  if (authority === undefined || issuer === undefined || !issuer.ca) return {}
  const leaf = readKeyPair(folder, LEAF)
  const served = leaf === undefined ? undefined : goodCertificate(leaf, now)
  if (leaf === undefined || !served?.checkIssued(issuer) || !served.verify(issuer.publicKey)) return { authority }
  if (names.every((name) => covers(served, name))) return { authority, leaf }
  return { authority, names: hostNamesOf(served).slice(0, MOST_NAMES_KEPT) }
}

/** The host names of a certificate, as OpenSSL prints them (`DNS:a, DNS:b, IP Address:…`). */
function hostNamesOf({ subjectAltName = '' }: X509Certificate): readonly string[] {
  return [...subjectAltName.matchAll(/(?:^|, )DNS:([\w.-]+)/g)].flatMap(([, name]) => name ?? [])
}

/** The parsed certificate if it matches its key and is valid for a while; `undefined` otherwise, also for garbage. */
function goodCertificate(pair: CertifiedKey, now: number): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(pair.certificate)
    const lasts =
      certificate.validFromDate.getTime() <= now && now + RENEW_BEFORE_MS < certificate.validToDate.getTime()
    return lasts && certificate.checkPrivateKey(createPrivateKey(pair.key)) ? certificate : undefined
  } catch {
    return undefined
  }
}

function covers(certificate: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined
}

/** Runs `make` while no other process does; takes over the lock of a process that died. */
async function withLock<T>(folder: string, make: () => Promise<T>): Promise<T> {
  const lock = join(folder, '.lock')
  const giveUpAt = Date.now() + LOCK_PATIENCE_MS
  prepare(folder)
  while (!takeLock(lock)) {
    if (Date.now() > giveUpAt) throw unwritable(folder, `another process holds \`${lock}\``)
    await pause(50)
  }
  try {
    return await make()
  } finally {
    rmSync(lock, { force: true })
  }
}

function prepare(folder: string): void {
  try {
    makeFolder(folder)
  } catch (cause) {
    throw unwritable(folder, `it cannot be created (${codeOf(cause)})`)
  }
}

function takeLock(lock: string): boolean {
  try {
    closeSync(openSync(lock, 'wx', 0o600))
    return true
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST') throw unwritable(lock, `it cannot be created (${codeOf(cause)})`)
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > LOCK_STALE_MS) rmSync(lock, { force: true })
    return false
  }
}

function unwritable(path: string, why: string): InputError {
  const message = `certificates cannot be made in \`${path}\`: ${why}`
  const hint = 'make the folder writable for this user, or delete a lock left by a process that has ended'
  return inputError('tls.folder_unwritable', message, { hint, file: path })
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
}

// A certificate and its private key as two files of one folder. A private key is written for its owner only, and
// refused if others could have read it.

const GROUP_AND_OTHERS = 0o077

/** `<folder>/<name>.pem` */
export function certificateFile(folder: string, name: string): string {
  return join(folder, `${name}.pem`)
}

/** `<folder>/<name>-key.pem` */
export function keyFile(folder: string, name: string): string {
  return join(folder, `${name}-key.pem`)
}

/** The pair of this name, or `undefined` unless both files exist. Throws InputError if a file cannot be read, or if
 *  anyone but its owner may read the key. */
export function readKeyPair(folder: string, name: string): CertifiedKey | undefined {
  const certificate = readIfThere(certificateFile(folder, name))
  const key = readIfThere(keyFile(folder, name))
  if (certificate === undefined || key === undefined) return undefined
  refuseLoose(keyFile(folder, name))
  return { certificate, key }
}

/** Writes the pair, key first, each file atomically. */
export function writeKeyPair(folder: string, name: string, pair: CertifiedKey): void {
  writeWhole(keyFile(folder, name), pair.key, 0o600)
  writeWhole(certificateFile(folder, name), pair.certificate, 0o644)
}

function writeWhole(path: string, text: string, mode: number): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, text, { mode })
  chmodSync(draft, mode)
  renameSync(draft, path)
}

function readIfThere(path: string): string | undefined {
  try {
    return readWholeFile(path).toString('utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    const message = `the certificate file \`${path}\` cannot be read (${code})`
    const hint = 'make it readable for this user, or delete it to create a new one'
    throw inputError('tls.file_unreadable', message, { hint, file: path })
  }
}

/** Windows has no such modes, so this cannot be checked there. */
function refuseLoose(path: string): void {
  const mode = statSync(path).mode & 0o777
  if (process.platform === 'win32' || (mode & GROUP_AND_OTHERS) === 0) return
  const message = `the private key \`${path}\` is open to other users (mode ${mode.toString(8)})`
  const hint = `run \`chmod 600 ${path}\`, or delete the file to create a new key if somebody else may have read it`
  throw inputError('tls.key_exposed', message, { hint, file: path })
}
