// Collects all problems of a configuration, so that they are reported together, each with its place.

import { drawLine, type Issue } from '../errors/issue.ts'
import type { DocumentPath, DocumentSpan, SourceDocument } from './source-document.ts'

export interface Remark {
  readonly hint?: string | undefined
  /** whether to point at the value (default) or at the key */
  readonly at?: 'value' | 'key'
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
    add(found, code, message, { hint, at = 'value', severity = 'error' } = {}) {
      const path = original(found)
      const { line, column, length } = document.locate(path, at)
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
