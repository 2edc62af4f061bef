// A text that must not turn up in logs, dumps or answers by accident: it prints as a placeholder wherever it goes.

import { inspect } from 'node:util'

/** Holds one secret text; only `reveal` gives it back. */
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
