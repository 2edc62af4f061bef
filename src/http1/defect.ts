// What can be wrong with a message of HTTP/1.1: one name per defect, whichever side sent it and however the bytes were cut.

export type DefectName =
  | 'bare-cr'
  | 'bare-lf'
  | 'blank-before-colon'
  | 'body-cut-short'
  | 'chunk-end'
  | 'chunk-extension'
  | 'chunk-extension-too-long'
  | 'chunk-size'
  | 'chunk-size-overflow'
  | 'coding-in-http-1.0'
  | 'control-character'
  | 'field-name'
  | 'folded-field'
  | 'head-cut-short'
  | 'head-too-long'
  | 'length'
  | 'length-and-coding'
  | 'length-overflow'
  | 'lengths'
  | 'method'
  | 'no-colon'
  | 'request-line'
  | 'start-line-too-long'
  | 'status'
  | 'status-line'
  | 'target-character'
  | 'too-many-fields'
  | 'trailers-too-long'
  | 'transfer-coding'
  | 'version'
  | 'version-missing'

/** A message that is not sound. `message` is one lower-case clause without any text of the sender's. */
export class Defect extends Error {
  readonly defect: DefectName
  readonly details: Readonly<Record<string, string | number>>

  constructor(defect: DefectName, message: string, details: Readonly<Record<string, string | number>> = {}) {
    super(message)
    this.defect = defect
    this.details = details
  }
}
