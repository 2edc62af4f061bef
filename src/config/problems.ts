// Collects everything that is wrong with a configuration, so that all of it is said at once, each with its place.

import { drawLine, type Issue } from '../errors/issue.ts'
import type { DocumentPath, DocumentSpan, SourceDocument } from './source-document.ts'

export interface Remark {
  readonly hint?: string | undefined
  /** where to point: at the value (default) or at the key */
  readonly at?: 'value' | 'key'
  readonly severity?: Issue['severity']
}

export interface Problems {
  /** Notes a problem with what stands at a path of the document. */
  add(path: DocumentPath, code: string, message: string, remark?: Remark): void
  /** The same collection for another document, such as a rules file. */
  in(document: SourceDocument): Problems
  /** The same collection for data of which a part was set aside: `original` gives the paths of the document. */
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
