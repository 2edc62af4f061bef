// Colour for terminals, by meaning; plain text elsewhere and where NO_COLOR is set (no-color.org).

import type { Io, Output } from './io.ts'

const CODES = { good: 32, bad: 31, warn: 33, accent: 36, strong: 1, dim: 2 } as const

export type Paint = Readonly<Record<keyof typeof CODES, (text: string) => string>>

/** Paint for one of the two output streams. */
export function paintFor(io: Io, output: Output): Paint {
  const on = output.isTerminal && (io.env.NO_COLOR ?? '') === '' && io.env.TERM !== 'dumb'
  const entries = Object.entries(CODES).map(([name, code]) => [
    name,
    on ? (text: string) => `\u001b[${code}m${text}\u001b[0m` : (text: string) => text,
  ])
  return Object.freeze(Object.fromEntries(entries))
}
