// The forms recordings come in besides a record per line: JSON arrays and batches around them, records over several lines or
// none between them, CSV. Told apart by how they begin, and made into a record per line as they are read.

import { Readable } from 'node:stream'
import { type CsvError, parse } from 'csv-parse'
import { counted } from '../errors/counted.ts'
import { inputError } from '../errors/issue.ts'
import { FIELDS } from './recorded-session.ts'

/** A part of a recording that is no record, in place of one. */
export interface NoRecord {
  /** a clause: `the file ends inside this record` */
  readonly problem: string
  /** absent: known by the number of the record */
  readonly line?: number
  /** what was read before is all there is */
  readonly isEnd: boolean
}

export type RecordingForm =
  | { readonly kind: 'lines' }
  /** JSON values of any layout: arrays of records, objects with an array of them, records themselves */
  | { readonly kind: 'json' }
  /** `columns`: given from outside; else the first row names them */
  | { readonly kind: 'table'; readonly delimiter: string; readonly columns: readonly string[] }

const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACE = 0x20
const NEWLINE = 0x0a

const COLUMNS =
  'name its columns: `--columns SessionStartTime,Email,…`, in the order of `field_names` of the Logpush job'
const DELIMITERS = [',', '\t', ';', '|'] as const

/** The form of a recording that begins like this (64 KiB are plenty). Throws an InputError for a table without names. */
export function formOf(name: string, head: string, columns?: readonly string[]): RecordingForm {
  const start = head.trimStart()
  const [line = ''] = start.split('\n', 1)
  const first = line.trim()
  if (columns !== undefined) {
    if (columns.some((column) => FIELDS.includes(column)))
      return { kind: 'table', delimiter: delimiterIn(first), columns }
    const shown = columns.map((column) => `\`${column}\``).join(', ')
    throw inputError('replay.no_columns', `none of the columns ${shown} is a field of a session record`, {
      hint: COLUMNS,
    })
  }
  if (first.startsWith('[')) return { kind: 'json' }
  if (first.startsWith('{')) return isRecordOfItsOwn(first) ? { kind: 'lines' } : { kind: 'json' }
  const delimiter = delimiterIn(first)
  const names = first.split(delimiter).map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'))
  if (names.filter((cell) => FIELDS.includes(cell)).length >= 2) return { kind: 'table', delimiter, columns: names }
  if (/(?:^|[,\t;|])"[^"]*"[,\t;|]/.test(first)) {
    const message = `\`${name}\` looks like CSV, and its first row names no columns`
    throw inputError('replay.no_columns', message, { hint: COLUMNS })
  }
  return { kind: 'lines' }
}

/** Whether a line is one record, and not the beginning of something larger. A line that breaks off is one, though no
 *  good. */
function isRecordOfItsOwn(line: string): boolean {
  const records = new RecordCutter()
  const found = records.add(Buffer.from(`${line}\n`)).toString()
  if (records.sawBatch || found.trimEnd().includes('\n')) return false
  return found !== '' || !/[[{,]$/.test(line)
}

function delimiterIn(row: string): string {
  const outside = row.replace(/"(?:[^"]|"")*"/g, '')
  const counts = DELIMITERS.map((delimiter) => [outside.split(delimiter).length, delimiter] as const)
  return counts.reduce((most, next) => (next[0] > most[0] ? next : most))[1]
}

/** The bytes of a recording of this form as a record per line, and what is none where it would be. Throws an InputError for what
 *  is no such form. */
export function recordsPerLine(
  name: string,
  form: RecordingForm,
  input: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array | NoRecord> {
  if (form.kind === 'json') return recordsIn(name, input)
  return form.kind === 'table' ? rowsIn(form, input) : input
}

/** No record is nearly as long. */
const MOST_RECORD_BYTES = 16 << 20

async function* recordsIn(name: string, input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array | NoRecord> {
  const cutter = new RecordCutter()
  for await (const bytes of input) {
    yield cutter.add(bytes)
    if (cutter.held > MOST_RECORD_BYTES) {
      const reason = `a record is longer than ${MOST_RECORD_BYTES >> 20} MiB, so a bracket is not closed`
      throw inputError('replay.unreadable', `cannot read \`${name}\`: ${reason}`)
    }
  }
  if (cutter.isOpen) {
    yield {
      problem: cutter.held > 0 ? 'the file ends inside this record' : 'the file ends before what it opens is closed',
      isEnd: true,
    }
  }
}

/** Cuts records out of JSON and puts each on a line, without the white space between its parts. It looks at brackets and
 *  strings alone; whether a record is good JSON is for its reader to say.
 *
 *  A record is an object that stands by itself or in an array that does. An object with an array of objects in it is a
 *  batch: then those are the records, and the rest of it is left out. */
export class RecordCutter {
  #out = Buffer.allocUnsafeSlow(1 << 16)
  #length = 0
  /** where the record in progress begins in `out`, and how deep; -1: there is none */
  #record = -1
  #recordDepth = 0
  /** open brackets */
  #depth = 0
  /** how deep records stand: by themselves (0), in an array (1), in the array of a batch (2) */
  #level: 0 | 1 | 2 = 0
  #isInArray = false
  #sawBatch = false
  #isInString = false
  #isEscaped = false
  /** the last byte that was not white space */
  #last = 0

  /** was there an object around an array of records? */
  get sawBatch(): boolean {
    return this.#sawBatch
  }

  /** bytes of the record in progress */
  get held(): number {
    return this.#length
  }

  /** The records that are complete now, each with a line feed. The rest is kept. */
  add(bytes: Uint8Array): Buffer {
    for (let at = 0; at < bytes.length; at++) this.#take(bytes[at] ?? 0)
    const whole = this.#record < 0 ? this.#length : this.#record
    const taken = Buffer.from(this.#out.subarray(0, whole))
    this.#out.copyWithin(0, whole, this.#length)
    this.#length -= whole
    if (this.#record >= 0) this.#record = 0
    return taken
  }

  /** is a bracket not closed yet? */
  get isOpen(): boolean {
    return this.#depth > 0
  }

  #take(byte: number): void {
    if (this.#isInString) {
      this.#takeInString(byte)
    } else if (byte > SPACE) {
      this.#takeOutside(byte)
      this.#last = byte
    }
  }

  #takeInString(byte: number): void {
    if (this.#record >= 0) this.#put(byte)
    if (this.#isEscaped) this.#isEscaped = false
    else if (byte === BACKSLASH) this.#isEscaped = true
    else if (byte === QUOTE) this.#isInString = false
  }

  #takeOutside(byte: number): void {
    if (byte === OPEN_OBJECT) this.#beginRecord()
    else if (byte === OPEN_ARRAY && this.#record < 0) this.#openArray()
    else if (byte === QUOTE) this.#isInString = this.#depth > 0
    if (this.#record >= 0) this.#put(byte)
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.#close()
  }

  #openArray(): void {
    if (this.#depth === 0) this.#level = 1
    if (this.#depth < this.#level) this.#isInArray = true
  }

  #beginRecord(): void {
    if (this.#record >= 0 && this.#recordDepth === 0 && this.#depth === 2 && this.#last === OPEN_ARRAY) {
      // what looked like a record is a batch of them
      this.#length = this.#record
      this.#record = -1
      this.#level = 2
      this.#sawBatch = true
      this.#isInArray = true
    }
    if (this.#record >= 0 || this.#depth !== this.#level || (this.#depth > 0 && !this.#isInArray)) return
    this.#record = this.#length
    this.#recordDepth = this.#depth
  }

  #close(): void {
    if (this.#depth > 0) this.#depth--
    if (this.#record >= 0 && this.#depth === this.#recordDepth) {
      this.#put(NEWLINE)
      this.#record = -1
    }
    if (this.#depth < this.#level) this.#isInArray = false
    if (this.#depth === 0) this.#level = 0
  }

  #put(byte: number): void {
    if (this.#length === this.#out.length) {
      const larger = Buffer.allocUnsafeSlow(this.#out.length * 2)
      this.#out.copy(larger)
      this.#out = larger
    }
    this.#out[this.#length++] = byte
  }
}

/** Rows handed on at once. */
const MOST_ROWS = 500

async function* rowsIn(
  { delimiter, columns }: Extract<RecordingForm, { readonly kind: 'table' }>,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array | NoRecord> {
  const skipped: NoRecord[] = []
  const parser = Readable.from(input).pipe(
    parse({
      delimiter,
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      trim: true,
      skip_records_with_error: true,
      on_skip: (error) => void skipped.push(noRow(error)),
    }),
  )
  let lines: string[] = []
  let misfit: NoRecord | undefined
  const rows = parser as AsyncIterable<{
    readonly record: readonly string[]
    readonly info: { readonly lines: number }
  }>
  for await (const { record: row, info } of rows) {
    if (misfit !== undefined) skipped.push(misfit)
    misfit = undefined
    if (lines.length >= MOST_ROWS || skipped.length > 0) {
      yield Buffer.from(lines.join(''))
      yield* skipped.splice(0)
      lines = []
    }
    // every batch of a file may name its columns again
    if (columns.every((column, at) => row[at] === column)) continue
    if (row.length === columns.length) {
      lines.push(`${JSON.stringify(Object.fromEntries(columns.map((column, at) => [column, cellOf(row[at])])))}\n`)
    } else {
      const named = `${counted(columns.length, 'column')} ${columns.length === 1 ? 'is' : 'are'} named`
      misfit = { problem: `this row has ${counted(row.length, 'cell')}, and ${named}`, line: info.lines, isEnd: false }
    }
  }
  yield Buffer.from(lines.join(''))
  yield* skipped
  if (misfit !== undefined) yield { ...misfit, isEnd: true }
}

function noRow(error: CsvError | undefined): NoRecord {
  const { lines } = Object(error)
  const isEnd = error?.code === 'CSV_QUOTE_NOT_CLOSED'
  const problem = isEnd ? 'the file ends inside a quoted cell' : `no row of CSV: ${error?.message ?? ''}`
  return { problem, isEnd, ...(typeof lines === 'number' ? { line: lines } : {}) }
}

/** Objects, as the lab's own, are JSON in a cell. */
function cellOf(cell: string | undefined): unknown {
  if (cell?.startsWith('{') !== true) return cell
  try {
    return JSON.parse(cell)
  } catch {
    return cell
  }
}
