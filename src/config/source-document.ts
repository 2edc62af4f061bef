// Reads a YAML (or JSON) file as data with source positions. Does not interpret the data.

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
  visit,
} from 'yaml'
import { drawLine, type Issue } from '../errors/issue.ts'
import { NotRegularError, readWholeFile } from './files.ts'

export type DocumentPath = readonly (string | number)[]

/** The position of a value: 1-based line and column, and its length in characters on that line. */
export interface DocumentSpan {
  readonly line: number
  readonly column: number
  readonly length: number
}

export interface SourceDocument {
  readonly file: string
  /** plain values; `undefined` when the text could not be read */
  readonly data: unknown
  /** why the text could not be read */
  readonly issues: readonly Issue[]
  /** The span of the value (or, for `key`, of the key) at a path; the nearest enclosing one if the path is not in
   *  the text. */
  locate(path: DocumentPath, part?: 'value' | 'key'): DocumentSpan
  /** Like `locate`, but after an opening quote, or at the first character of a block scalar's text. */
  locateText(path: DocumentPath): DocumentSpan
  /** The text of one line, without its end. */
  lineText(line: number): string
}

const SYNTAX_WORDS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key is given twice',
  TAB_AS_INDENT: 'a tab is used where YAML requires spaces',
  BAD_INDENT: 'the indentation matches no line above it',
  MISSING_CHAR: 'a character is missing here, such as a closing quote or bracket, or a space after a colon',
  BLOCK_AS_IMPLICIT_KEY: 'a second colon on this line makes it unreadable; text with a colon and a space needs quotes',
}

/** Contents of files by path. A file in the map is not read again, so that all who share it see the same contents. */
export type ReadFiles = Map<string, Uint8Array>

/** What files were read as, by path; a file whose contents are still the same is not parsed again. */
export type ParsedFiles = Map<string, { readonly contents: Uint8Array; readonly document: SourceDocument }>

/** The text of a file. Throws the system's error, a NotRegularError, or a TypeError for what is not UTF-8. */
export function readSourceText(file: string): string {
  return decodeText(readWholeFile(file))
}

function decodeText(contents: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(contents)
}

/** Reads a file. Never throws: for a file that is missing, not text or not YAML, returns issues and no data. */
export function readSourceDocument(file: string, files?: ReadFiles, parsed?: ParsedFiles): SourceDocument {
  try {
    const contents = files?.get(file) ?? readWholeFile(file)
    files?.set(file, contents)
    const before = parsed?.get(file)
    if (before !== undefined && isSameBytes(before.contents, contents)) return before.document
    const document = parseSourceDocument(file, decodeText(contents))
    parsed?.set(file, { contents, document })
    return document
  } catch (error) {
    return unreadable(file, `cannot read \`${file}\`: ${readFailure(error)}`)
  }
}

/** Whether two files have the same contents; cheap where they are one object. */
export function isSameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one === other || Buffer.compare(one, other) === 0
}

/** The same for given text; `file` only names it in messages. */
export function parseSourceDocument(file: string, text: string): SourceDocument {
  const lines = new LineCounter()
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, strict: true })
  const source = text.split(/\r?\n/)
  const lineText = (line: number) => source[line - 1] ?? ''
  const spanAt = (start: number, end: number): DocumentSpan => {
    const { line, col } = lines.linePos(start)
    const onLine = lineText(line).length - col + 1
    return { line, column: col, length: Math.max(1, Math.min(end - start, onLine)) }
  }
  const complain = (start: number, end: number, message: string): Issue => {
    const { line, column } = spanAt(start, end)
    const drawing = drawLine(lineText(line), column, 1)
    return { severity: 'error', code: 'config.syntax', message, file, line, column, drawing }
  }
  const issues = [
    ...parsed.errors.map(({ code, message, pos }) => {
      const words = SYNTAX_WORDS[code] ?? lowerFirst(message.split('\n')[0] ?? 'unreadable YAML')
      return complain(pos[0], pos[1], words)
    }),
    ...danglingAliases(parsed).map(({ source, range }) =>
      complain(
        range?.[0] ?? 0,
        range?.[1] ?? 1,
        `the alias \`*${source}\` names an anchor that is not defined before it`,
      ),
    ),
  ].filter((issue, at, all) => all.findIndex(({ line }) => line === issue.line) === at)
  let data: unknown
  try {
    // cloned, so that texts are not slices of the file's (net/ip.ts): names and ids are logged with every
    // connection
    data = issues.length === 0 ? structuredClone(parsed.toJS({ maxAliasCount: 1000 })) : undefined
  } catch {
    issues.push(complain(0, 1, 'the aliases of this file expand too far'))
  }
  return {
    file,
    data,
    issues,
    lineText,
    locate: (path, part = 'value') => spanOf(rangeOf(parsed, path, part), spanAt),
    locateText: (path) => spanOf(textRangeOf(parsed, path, text), spanAt),
  }
}

function danglingAliases(document: Document): Alias[] {
  const found: Alias[] = []
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) === undefined) found.push(alias)
    },
  })
  return found
}

type DocumentRange = readonly [number, number]

function spanOf(range: DocumentRange, spanAt: (start: number, end: number) => DocumentSpan): DocumentSpan {
  return spanAt(range[0], range[1])
}

function rangeOf(document: Document, path: DocumentPath, part: 'value' | 'key'): DocumentRange {
  let node = document.contents as Node | null
  let range: DocumentRange = [0, 1]
  for (const [at, step] of path.entries()) {
    const found = stepInto(document, node, step)
    if (found === undefined) return range
    const isLast = at === path.length - 1
    range = rangeOfNode(isLast && part === 'key' ? (found.key ?? found.value) : (found.value ?? found.key))
    node = found.value
  }
  return range
}

function textRangeOf(document: Document, path: DocumentPath, text: string): DocumentRange {
  const range = rangeOf(document, path, 'value')
  const node = path.reduce<Node | null>(
    (inside, step) => stepInto(document, inside, step)?.value ?? null,
    document.contents as Node | null,
  )
  if (!isScalar(node)) return range
  if (node.type === Scalar.QUOTE_DOUBLE || node.type === Scalar.QUOTE_SINGLE) return [range[0] + 1, range[1] - 1]
  if (node.type !== Scalar.BLOCK_LITERAL && node.type !== Scalar.BLOCK_FOLDED) return range
  const start = text.slice(range[0], range[1]).search(/\n[ \r\n]*[^ \r\n]/)
  if (start < 0) return range
  const body = text.slice(range[0] + start)
  return [range[0] + start + body.search(/[^ \r\n]/), range[1]]
}

function stepInto(document: Document, node: Node | null, step: string | number) {
  const target = isAlias(node) ? (node.resolve(document) ?? null) : node
  if (isMap(target)) {
    const pair = target.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step))
    return pair === undefined ? undefined : { key: pair.key as Node | null, value: pair.value as Node | null }
  }
  if (isSeq(target) && typeof step === 'number') {
    const item = target.items[step] as Node | undefined
    return item === undefined ? undefined : { key: null, value: item }
  }
  return undefined
}

function rangeOfNode(node: Node | null): DocumentRange {
  return node?.range === undefined || node.range === null ? [0, 1] : [node.range[0], node.range[1]]
}

function unreadable(file: string, message: string): SourceDocument {
  const start = { line: 1, column: 1, length: 1 }
  return {
    file,
    data: undefined,
    issues: [{ severity: 'error', code: 'config.unreadable', message, file }],
    lineText: () => '',
    locate: () => start,
    locateText: () => start,
  }
}

/** Why a file could not be read, in words. */
export function readFailure(error: unknown): string {
  if (error instanceof TypeError) return 'it is not UTF-8 text'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EISDIR') return 'it is a directory'
  if (code === 'EACCES') return 'permission is denied'
  if (error instanceof NotRegularError) return error.code
  return `system error ${String(code)}`
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1)
}
