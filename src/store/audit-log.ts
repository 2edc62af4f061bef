// Who changed what: one entry per change, kept with the state for a while and written to a file as NDJSON for good. Secrets are
// taken out before an entry is made; a change of the state and its entry are one commit, so that neither is there without the other.

import type { Json } from '../config/lab-state.ts'
import type { RecordTable } from './journal.ts'

/** What one change did to one thing. Values that are too large are told by their size alone. */
export interface AuditedChange {
  /** a kind of document, or `token` and other things the lab keeps beside them */
  readonly kind: string
  readonly id: string
  readonly action: 'created' | 'updated' | 'deleted'
  readonly before: Json
  readonly after: Json
}

export interface AuditEntry {
  /** counted on from 1; one is missing where the disk refused a change together with its entry */
  readonly id: number
  /** RFC 3339, by the machine's clock */
  readonly at: string
  readonly who: {
    /** `person`: signed in by the provider; `user`: of the proxy, at `/me`; `lab`: nobody asked for it at the API; its configuration file
     *  changed, say */
    readonly kind: 'token' | 'person' | 'user' | 'lab'
    /** a token's id, a person's at the provider, a user's email; '' for the lab */
    readonly id: string
    readonly name: string
    readonly role: string | null
  }
  /** the address it was asked from; '' for the lab */
  readonly from: string
  /** `PUT /lab/v1/colos/{code}` */
  readonly action: string
  /** `/lab/v1/colos/LHR` */
  readonly target: string
  /** of the state, before and after */
  readonly revision_before: number
  readonly revision: number
  readonly changes: readonly AuditedChange[]
  /** changes that were too many to list */
  readonly changes_left_out: number
}

export interface AuditLog {
  /** A new entry, of which nothing is kept yet. */
  begin(): OpenAuditEntry
  /** what is still kept, oldest first */
  list(): readonly AuditEntry[]
}

type Audited = Omit<AuditEntry, 'id' | 'at'>

/** An entry of something that is being done. */
export interface OpenAuditEntry {
  /** Keeps what was done so far, in the place of what was kept before: called within a commit of the state it is part of that.
   *  Throws ChangeError `change.disk`. */
  keep(about: Audited): void
  /** Keeps it for good. What cannot be kept any more is reported. */
  close(about: Audited): void
}

export interface AuditLogOptions {
  readonly table: RecordTable
  /** gets each entry as a line, too */
  readonly file?: { push(line: string): void }
  /** entries that are older are dropped from the state */
  readonly keepMs: number
  readonly onProblem: (message: string) => void
  /** machine time, epoch ms */
  readonly now?: () => number
}

const MOST_ENTRIES = 10_000
const MOST_CHANGES = 100
const LARGEST_VALUE = 16 * 1024

/** Opens the audit log: entries are kept in a table, at most 10,000 and for `keepMs`, and large values are cut. */
export function openAuditLog({ table, file, keepMs, onProblem, now = Date.now }: AuditLogOptions): AuditLog {
  const kept = table.all().map(({ key, body }) => ({ key, at: Date.parse((JSON.parse(body) as AuditEntry).at) }))
  let last = Number(kept.at(-1)?.key ?? 0)
  const dropOld = () => {
    while (kept[0] !== undefined && (kept.length > MOST_ENTRIES || now() - kept[0].at > keepMs)) {
      table.remove(kept[0].key)
      kept.shift()
    }
  }
  return {
    begin() {
      let made: { readonly key: string; readonly at: number } | undefined
      let written: string | undefined
      const lineOf = (about: Audited) => {
        made ??= { key: String(++last), at: now() }
        const changes = about.changes.slice(0, MOST_CHANGES).map(shortened)
        const left = about.changes_left_out + about.changes.length - changes.length
        const stamp = { id: Number(made.key), at: new Date(made.at).toISOString() }
        return { made, line: JSON.stringify({ ...stamp, ...about, changes, changes_left_out: left }) }
      }
      return {
        keep(about) {
          const { made, line } = lineOf(about)
          table.put(made.key, line)
          written = line
        },
        close(about) {
          const { made, line } = lineOf(about)
          file?.push(line)
          try {
            if (written !== line) table.put(made.key, line)
            kept.push(made)
            dropOld()
          } catch (thrown) {
            onProblem(
              `an entry of the audit could not be kept: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
            )
          }
        },
      }
    },
    list: () => {
      const oldest = now() - keepMs
      return table
        .all()
        .map(({ body }) => JSON.parse(body) as AuditEntry)
        .filter(({ at }) => Date.parse(at) >= oldest)
    },
  }
}

function shortened(change: AuditedChange): AuditedChange {
  const short = (value: Json): Json => {
    const bytes = JSON.stringify(value).length
    return bytes > LARGEST_VALUE ? { left_out: `${bytes} bytes` } : value
  }
  return { ...change, before: short(change.before), after: short(change.after) }
}

const SECRET_KEY = /secret|password|token|authorization|credential|api_?key/i

/** The same without what is secret: members by their name, and of addresses the login and the query. */
export function withoutSecrets(value: Json, key = ''): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value
  if (SECRET_KEY.test(key) && value !== '') return '(secret)'
  if (typeof value === 'string')
    return key === 'destination' || key === 'destination_conf' ? addressAlone(value) : value
  if (Array.isArray(value)) return value.map((item: Json) => withoutSecrets(item))
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutSecrets(member, name)]))
}

function addressAlone(text: string): string {
  const shown = text.replace(/^([\w+.-]+:\/\/)[^/@]*@/, '$1(secret)@')
  const query = shown.indexOf('?')
  return query < 0 ? shown : `${shown.slice(0, query)}?(secret)`
}
