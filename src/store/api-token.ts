// The API's token: created once, readable by its owner only, never in a message or a log (AP-07).

import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../config/files.ts'
import { ChangeError } from '../errors/change-error.ts'
import { type InputError, inputError } from '../errors/issue.ts'
import { keepPrivate } from './private-file.ts'

export interface ApiToken {
  current(): string
  /** whether it was just created, and may be shown this once */
  readonly isNew: boolean
  /** the file that holds it; undefined if it was given or is in memory only */
  readonly file: string | undefined
  /** Replaces it; the old one is refused from then on. Throws ChangeError if it was given from outside. */
  rotate(): string
  /** Calls back when the token was replaced. */
  onRotated(listener: () => void): void
}

export interface ApiTokenOptions {
  /** the state directory; absent: in memory only */
  readonly directory?: string
  /** value of EGRESSLAB_API_TOKEN, if set */
  readonly given?: string
}

/** The current token. Throws InputError for a given token that is too weak, or a file that cannot be read or
 *  written. */
export function openApiToken(options: ApiTokenOptions): ApiToken {
  const { directory, given } = options
  if (given !== undefined && given !== '') return givenToken(given)
  const file = directory === undefined ? undefined : join(directory, 'api-token')
  const kept = file === undefined ? undefined : read(file)
  let token = kept ?? fresh()
  const listeners: (() => void)[] = []
  if (file !== undefined && kept === undefined) write(file, token)
  return {
    current: () => token,
    isNew: kept === undefined,
    file,
    rotate: () => {
      const next = fresh()
      if (file !== undefined) write(file, next)
      token = next
      for (const tell of listeners) tell()
      return token
    },
    onRotated: (listener) => void listeners.push(listener),
  }
}

/** 256 random bits, in the alphabet Cloudflare's tokens use. */
function fresh(): string {
  return randomBytes(32).toString('base64url')
}

function givenToken(given: string): ApiToken {
  if (!/^[\x21-\x7e]{16,}$/.test(given)) {
    throw unusable('EGRESSLAB_API_TOKEN must be at least 16 visible ASCII characters without spaces')
  }
  const rotate = () => {
    throw new ChangeError('change.in_use', 'the token was given with EGRESSLAB_API_TOKEN; change it there')
  }
  return { current: () => given, isNew: false, file: undefined, rotate, onRotated: () => undefined }
}

function read(file: string): string | undefined {
  try {
    const token = readFileSync(file, 'utf8').trim()
    keepPrivate(file)
    return token === '' ? undefined : token
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined
    throw unusable(`the token file \`${file}\` cannot be read`, thrown)
  }
}

/** Atomically: to a file beside it, synced, then renamed. */
function write(file: string, token: string): void {
  const beside = `${file}.new`
  try {
    makeFolder(join(file, '..'), 0o700)
    const handle = openSync(beside, 'w', 0o600)
    writeSync(handle, `${token}\n`)
    fsyncSync(handle)
    closeSync(handle)
    renameSync(beside, file)
  } catch (thrown) {
    rmSync(beside, { force: true })
    throw unusable(`the token file \`${file}\` cannot be written`, thrown)
  }
}

function unusable(message: string, thrown?: unknown): InputError {
  const reason = thrown instanceof Error ? `: ${thrown.message}` : ''
  return inputError('state.token', message + reason)
}
