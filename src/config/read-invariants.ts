// Invariants of a configuration or of a file of policy tests: statements about every connection, for `prove`. Checks the
// shape only; whether names exist and conditions parse is found out where they are proven.

import type { SourcePosition } from './lab-config.ts'
import type { Problems } from './problems.ts'
import type { DocumentPath } from './source-document.ts'

/** As written; the keys are the file's own. */
export interface RawInvariant {
  readonly name: string
  readonly when?: string
  readonly then: InvariantDemand
  readonly despite?: { readonly colos_down?: number | readonly string[]; readonly host_selectors_off?: boolean }
  readonly people?: 'configured' | 'anybody'
}

/** What a decision has to be; every key given must hold. */
export interface InvariantDemand {
  readonly egress_in?: readonly string[]
  readonly outcome?: string | readonly string[]
  readonly rule?: string | null
  readonly colo?: string | readonly string[]
  readonly country?: string | readonly string[]
  readonly never_shared?: true
  readonly let_in_by?: string
}

export interface ConfiguredInvariant extends RawInvariant {
  readonly file: string
  readonly position: SourcePosition
  /** positions of its parts by their keys, `when`, `then.rule`, `despite.colos_down` … */
  readonly parts: Readonly<Record<string, SourcePosition>>
}

/** The invariants at a path of a document, with their places. */
export function readInvariants(
  raw: readonly RawInvariant[],
  path: DocumentPath,
  file: string,
  problems: Problems,
): readonly ConfiguredInvariant[] {
  const names = new Set<string>()
  return raw.map((invariant, at) => {
    const own = [...path, at]
    if (names.has(invariant.name)) {
      problems.add([...own, 'name'], 'config.duplicate', `two invariants are called \`${invariant.name}\``)
    }
    names.add(invariant.name)
    const place = (...keys: string[]): SourcePosition => {
      const { line, column } = problems.locate([...own, ...keys])
      return { line, column }
    }
    const keys = (['then', 'despite'] as const).flatMap((part) =>
      Object.keys(invariant[part] ?? {}).map((key) => [`${part}.${key}`, place(part, key)] as const),
    )
    const parts = { when: place('when'), ...Object.fromEntries(keys) }
    return Object.freeze({ ...invariant, file, position: place(), parts: Object.freeze(parts) })
  })
}
