// Named tokens of the people and programs that share a lab: a role, an end, and a way to revoke each. Only hashes are kept, so
// what is on disk opens nothing; a token's text is known to its owner alone. Their times are the machine's, which the lab's clock cannot move.

import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { Role } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import type { RecordTable } from './journal.ts'

/** A token as it may be shown. Times are epoch ms of the machine. */
export interface AccessToken {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAt: number
  /** null: never */
  readonly expiresAt: number | null
  /** to the minute; null: not yet */
  readonly lastUsedAt: number | null
}

/** `hash` is of the token, `cookieHash` of what a browser holds instead of it. */
type StoredToken = AccessToken & { readonly hash: string; readonly cookieHash: string }

export interface AccessTokens {
  /** Makes one; its text is answered here and nowhere else. Throws ChangeError for a name that is taken, and where there are too many. */
  create(wanted: Pick<AccessToken, 'name' | 'role' | 'expiresAt'>): {
    readonly token: AccessToken
    readonly text: string
  }
  /** those that have not expired, oldest first */
  list(): readonly AccessToken[]
  /** The token that this is the text of, or that this cookie was made of, unless it has expired. Notes its use. */
  find(secret: { readonly text: string } | { readonly cookie: string }): AccessToken | undefined
  /** Is it still good? */
  isLive(id: string): boolean
  /** Ends it, by id or name. Throws ChangeError `change.not_found`. */
  revoke(which: string): AccessToken
  /** Calls back with the id of a token that was just revoked; answers the way to stop. */
  onRevoked(listener: (id: string) => void): () => void
}

const MOST_TOKENS = 1000
const USE_NOTED_EVERY_MS = 60_000

/** The tokens in this table. `cookieOf` makes the cookie of a token's text; `now` is machine time, epoch ms. */
export function openAccessTokens(table: RecordTable, cookieOf: (text: string) => string, now = Date.now): AccessTokens {
  const tokens = new Map(table.all().map(({ key, body }) => [key, JSON.parse(body) as StoredToken]))
  const listeners = new Set<(id: string) => void>()
  const isGood = ({ expiresAt }: AccessToken) => expiresAt === null || now() < expiresAt
  const live = () => [...tokens.values()].filter(isGood)
  const keep = (token: StoredToken) => {
    table.put(token.id, JSON.stringify(token))
    tokens.set(token.id, token)
  }
  const drop = (id: string) => {
    table.remove(id)
    tokens.delete(id)
  }
  const noteUse = (token: StoredToken): AccessToken => {
    if (token.lastUsedAt !== null && now() - token.lastUsedAt < USE_NOTED_EVERY_MS) return shown(token)
    const used = { ...token, lastUsedAt: now() }
    // a full disk must not lock people out
    tokens.set(token.id, used)
    try {
      table.put(used.id, JSON.stringify(used))
    } catch (thrown) {
      if (!(thrown instanceof ChangeError)) throw thrown
    }
    return shown(used)
  }
  return {
    create({ name, role, expiresAt }) {
      for (const token of [...tokens.values()]) if (!isGood(token)) drop(token.id)
      if (live().some((token) => token.name === name || token.id === name)) {
        throw new ChangeError('change.name_taken', `a token named \`${name}\` exists already`)
      }
      if (tokens.size >= MOST_TOKENS) {
        throw new ChangeError('change.in_use', `there are ${MOST_TOKENS} tokens already; revoke some`)
      }
      const text = `egl_${randomBytes(32).toString('base64url')}`
      const about = { id: randomUUID(), name, role, createdAt: now(), expiresAt, lastUsedAt: null }
      keep({ ...about, hash: digest(text), cookieHash: digest(cookieOf(text)) })
      return { token: about, text }
    },
    list: () => live().map(shown),
    find(secret) {
      const [given, kind] = 'text' in secret ? [secret.text, 'hash' as const] : [secret.cookie, 'cookieHash' as const]
      if (given === '') return undefined
      // what is compared is a hash of 256 random bits: how long it takes says nothing of the token
      const hash = digest(given)
      const found = live().find((token) => token[kind] === hash)
      return found === undefined ? undefined : noteUse(found)
    },
    isLive: (id) => {
      const token = tokens.get(id)
      return token !== undefined && isGood(token)
    },
    revoke(which) {
      const found = tokens.get(which) ?? live().find(({ name }) => name === which)
      if (found === undefined) throw new ChangeError('change.not_found', `there is no token \`${which}\``)
      drop(found.id)
      for (const tell of [...listeners]) tell(found.id)
      return shown(found)
    },
    onRevoked(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function shown({ hash: _hash, cookieHash: _cookieHash, ...token }: StoredToken): AccessToken {
  return token
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
