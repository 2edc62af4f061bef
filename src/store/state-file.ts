// A whole state in one file, for keeping and moving: versioned, with a checksum, JSON. Neither the API's own token nor certificates nor
// logs are in it; hashes of named tokens and the audit are.

import { createHash } from 'node:crypto'
import { KINDS, type Kind, ROLES } from '../config/lab-state.ts'
import { compareVersions, ownVersion } from '../config/own-package.ts'
import { type InputError, inputError } from '../errors/issue.ts'
import type { JournalRow, RecordTableName } from './journal.ts'
import { newer, usedByNewer } from './state-problems.ts'

/** Everything a journal keeps. */
export interface StateContents {
  readonly revision: number
  /** in the order the documents were first written */
  readonly rows: readonly JournalRow[]
  readonly tables: Readonly<Record<RecordTableName, readonly TableRecord[]>>
}

export interface TableRecord {
  readonly key: string
  /** JSON */
  readonly body: string
}

/** Of the file; increases with every change that an older version would misread. */
const FORMAT_VERSION = 1
const TABLES: readonly RecordTableName[] = ['token', 'audit', 'policy']

/** The file's text. `exportedAt`: epoch ms. */
export function formatStateFile({ revision, rows, tables }: StateContents, exportedAt: number): string {
  const contents = {
    revision,
    documents: rows.map(({ body, ...row }) => ({ ...row, value: JSON.parse(body) })),
    // the name in files since the first version
    shelves: Object.fromEntries(
      TABLES.map((name) => [name, tables[name].map(({ key, body }) => ({ key, value: JSON.parse(body) }))]),
    ),
  }
  const about = {
    egresslab_state: FORMAT_VERSION,
    egresslab: ownVersion(),
    exported_at: new Date(exportedAt).toISOString(),
  }
  return `${JSON.stringify({ ...about, sha256: digestOf(contents), ...contents }, null, 1)}\n`
}

/** Reads one. Throws an InputError for another kind of file, one of a newer version, and one that is damaged; `file` names it. */
export function parseStateFile(text: string, file: string): StateContents {
  const all = parsed(text, file)
  const { egresslab_state: version, egresslab: written, sha256, revision, documents, shelves } = all
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) throw foreign(file)
  if (version > FORMAT_VERSION) throw newer(file, version, FORMAT_VERSION)
  if (typeof written !== 'string') throw foreign(file)
  if (/^\d/.test(written) && compareVersions(written, ownVersion()) > 0) throw usedByNewer(file, written, ownVersion())
  if (digestOf({ revision, documents, shelves }) !== sha256) throw damaged(file, 'its checksum is another')
  if (!isCount(revision) || !Number.isInteger(revision) || !Array.isArray(documents))
    throw damaged(file, 'it has no documents, or no revision')
  const table = (name: RecordTableName) => tableOf(name, Object(shelves)[name] ?? [], file)
  const rows = documents.map((document: unknown) => rowOf(Object(document), file))
  checkOnce(
    rows.map(({ kind, id }) => `${kind}/${id}`),
    file,
  )
  return {
    revision,
    rows,
    tables: { token: table('token'), audit: table('audit'), policy: table('policy') },
  }
}

function parsed(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text))
  } catch {
    throw text.includes('"egresslab_state"') ? damaged(file, 'it is not whole') : foreign(file)
  }
}

function rowOf(document: Readonly<Record<string, unknown>>, file: string): JournalRow {
  const { kind, id, value, version, createdAt, updatedAt, deletedAt, source, seed } = document
  const isNumber = (given: unknown): given is number => typeof given === 'number' && Number.isFinite(given)
  const isKind = (given: unknown): given is Kind => KINDS.some((known) => known === given)
  if (
    !isKind(kind) ||
    typeof id !== 'string' ||
    Object(value).id !== id ||
    !isNumber(version) ||
    !isNumber(createdAt) ||
    !isNumber(updatedAt) ||
    !(deletedAt === null || isNumber(deletedAt)) ||
    !(source === 'file' || source === 'api') ||
    !(seed === null || typeof seed === 'string')
  ) {
    throw damaged(file, `the document \`${String(kind)}/${String(id)}\` is none this version knows`)
  }
  return { kind, id, body: JSON.stringify(value), version, createdAt, updatedAt, deletedAt, source, seed }
}

function tableOf(name: RecordTableName, records: unknown, file: string): TableRecord[] {
  if (!Array.isArray(records)) throw damaged(file, 'its `shelves` cannot be read')
  const read = records.map((record: unknown) => {
    const { key, value } = Object(record)
    if (typeof key !== 'string' || !IS_RECORD[name](key, Object(value))) {
      throw damaged(file, `\`${String(key)}\` is no ${RECORDS[name]} this version knows`)
    }
    return { key, body: JSON.stringify(value) }
  })
  checkOnce(
    read.map(({ key }) => `${name}/${key}`),
    file,
  )
  return read
}

const RECORDS: Readonly<Record<RecordTableName, string>> = {
  token: 'token',
  audit: 'entry of the audit',
  policy: 'revision of the rules',
}

type IsRecord = (key: string, value: Readonly<Record<string, unknown>>) => boolean

/** What the readers of the table take for granted. */
const IS_RECORD: Readonly<Record<RecordTableName, IsRecord>> = {
  token: (key, { id, name, role, createdAt, expiresAt, lastUsedAt, hash, cookieHash }) =>
    id === key &&
    [name, hash, cookieHash].every((text) => typeof text === 'string') &&
    ROLES.some((known) => known === role) &&
    isCount(createdAt) &&
    [expiresAt, lastUsedAt].every((at) => at === null || isCount(at)),
  audit: (key, { id, at, who, changes }) =>
    isCount(id) &&
    String(id) === key &&
    !Number.isNaN(Date.parse(String(at))) &&
    typeof Object(who).name === 'string' &&
    Array.isArray(changes),
  policy: (key, { revision, at, rows }) =>
    isCount(revision) &&
    String(revision) === key &&
    isCount(at) &&
    Array.isArray(rows) &&
    rows.every((row: unknown) => typeof Object(row).body === 'string'),
}

/** From 0 up, with room to go on counting. */
function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER / 2
}

function checkOnce(names: readonly string[], file: string): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) throw damaged(file, `it has \`${name}\` twice`)
    seen.add(name)
  }
}

function digestOf(contents: object): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex')
}

function foreign(file: string): InputError {
  const hint = '`egresslab state export` writes such files'
  return inputError('state.foreign', `\`${file}\` is not an exported state`, { hint, file })
}

function damaged(file: string, why: string): InputError {
  const hint = 'export it again, or use another copy; nothing was changed'
  return inputError('state.damaged', `\`${file}\` is damaged: ${why}`, { hint, file })
}
