// Collects all problems of a configuration, so that they are reported together, each with its place.

import { drawLine, type Issue } from '../errors/issue.ts'
import { positionOf, type Span } from '../expression/index.ts'
import type { DocumentPath, DocumentSpan, SourceDocument } from './source-document.ts'

/** The place of a rule in the file, for messages: 1-based line and column, those of the expression's first character
 *  if the YAML scalar is plain, quoted or a block. */
export interface SourcePosition {
  /** absent: the configuration file itself */
  readonly file?: string
  readonly line: number
  readonly column: number
}

export interface Remark {
  readonly hint?: string | undefined
  /** whether to point at the value (default) or at the key */
  readonly at?: 'value' | 'key'
  /** what to point at inside a value that is this text; `span` in characters */
  readonly within?: { readonly text: string; readonly span: Span }
  readonly severity?: Issue['severity']
}

export interface Problems {
  /** Records a problem with the value at a path of the document. */
  add(path: DocumentPath, code: string, message: string, remark?: Remark): void
  /** The same collection for another document, such as a rules file. */
  in(document: SourceDocument): Problems
  /** The same collection for data of which parts were removed: `original` maps paths to those of the document. */
  at(original: (path: DocumentPath) => DocumentPath): Problems
  locate(path: DocumentPath): DocumentSpan
  readonly issues: Issue[]
}

/** An empty collection for one document. */
export function createProblems(document: SourceDocument): Problems {
  return collect(document, [], (path) => path)
}

function collect(document: SourceDocument, issues: Issue[], original: (path: DocumentPath) => DocumentPath): Problems {
  return {
    issues,
    in: (other) => collect(other, issues, (path) => path),
    at: (further) => collect(document, issues, further),
    locate: (path) => document.locate(original(path)),
    add(found, code, message, { hint, at = 'value', within, severity = 'error' } = {}) {
      const path = original(found)
      const { line, column, length } =
        within === undefined ? document.locate(path, at) : spanWithin(document, path, within)
      const text = document.lineText(line)
      issues.push({
        severity,
        code,
        message,
        ...(hint === undefined ? {} : { hint }),
        file: document.file,
        line,
        column,
        path,
        ...(text === '' ? {} : { drawing: drawLine(text, column, length) }),
      })
    },
  }
}

function spanWithin(
  document: SourceDocument,
  path: DocumentPath,
  { text, span: [start, end] }: NonNullable<Remark['within']>,
): DocumentSpan {
  return { ...advance(document.locateText(path), text, start), length: end - start }
}

/** The position `offset` characters after the start of a text. Further lines of a block scalar keep its indentation. */
export function advance<P extends SourcePosition>(start: P, text: string, offset: number): P {
  const { line, column } = positionOf(text, offset)
  return { ...start, line: start.line + line - 1, column: start.column + column - 1 }
}
