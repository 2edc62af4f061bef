// A text that must not appear in logs, dumps or responses by accident: it prints as a placeholder everywhere.

import { inspect } from 'node:util'

/** Holds one secret text, which only `reveal` returns. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '(secret)'
  }

  toJSON(): string {
    return '(secret)'
  }

  [inspect.custom](): string {
    return '(secret)'
  }
}
