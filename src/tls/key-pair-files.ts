// A certificate and its private key as two files of one folder. A private key is written for its owner only, and
// refused if others could have read it.

import { chmodSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readWholeFile } from '../config/files.ts'
import { inputError } from '../errors/issue.ts'
import type { CertifiedKey } from './issue-certificates.ts'

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
