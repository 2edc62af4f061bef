// Invariants of a configuration or of a file of policy tests: statements about every connection, for `prove`. Checks the
// shape only; whether names exist and conditions parse is found out where they are proven.

import type { Static } from 'typebox'
import type { Problems, SourcePosition } from './problems.ts'
import { block, flag, listOf, nullable, oneOf, optional, or, text } from './schema.ts'
import type { DocumentPath } from './source-document.ts'

/** A text of this format, or one of several. */
function textOrTexts(description: string, format: string) {
  return or('string', listOf(description, text('One of them.', { format }), { minItems: 1 }), { format })
}

/** The file's own key; spelt so, a schema is no promise. */
const THEN = 'then'

export const INVARIANT = block('One statement: every connection that meets `when` is decided as `then` says.', {
  name: text('What it promises, in a sentence.'),
  when: optional(
    text(
      'An expression in the language of rules, with the fields of all three expressions together. Default: every connection.',
      { examples: ['any(identity.groups.name[*] == "Finance") and any(net.fqdn.domains[*] == "bank.saas.test")'] },
    ),
  ),
  [THEN]: block(
    'What has to be decided; every key given must hold.',
    {
      egress_in: optional(
        listOf(
          'It leaves from one of these addresses or networks. A refused connection leaves from none.',
          text('An address or a network.', { format: 'ip-network' }),
          { minItems: 1, examples: [['203.0.113.20', '203.0.113.30']] },
        ),
      ),
      outcome: optional(textOrTexts('How it leaves, or one of several ways.', 'outcome')),
      rule: optional(nullable(text('The rule that decides, by name or id; `null`: no rule does.'))),
      colo: optional(textOrTexts('Data center of the egress address, or one of several.', 'colo-code')),
      country: optional(
        textOrTexts('Country where sites take it to be, ISO 3166 alpha-2, or one of several.', 'country-code'),
      ),
      never_shared: optional(flag('It never leaves from shared egress.')),
      let_in_by: optional(text('The allowlist of this test service lets it in.', { format: 'hostname' })),
    },
    { minProperties: 1 },
  ),
  despite: optional(
    block(
      'What may happen meanwhile.',
      {
        colos_down: optional(
          or(
            'integer',
            listOf(
              'How many data centers may be down beside those that are, or which.',
              text("A data center's code.", { format: 'colo-code' }),
            ),
            { minimum: 0 },
          ),
        ),
        host_selectors_off: optional(flag('Host selectors may be switched off (or on, where they are off).')),
      },
      { minProperties: 1 },
    ),
  ),
  people: optional(
    oneOf(
      'Who is meant: `anybody`, with any groups, attributes and device (the default), or the people and devices of the configuration, and nobody.',
      ['anybody', 'configured'],
    ),
  ),
})

/** Statements about every connection, alone. */
export const INVARIANT_LIST = listOf('Statements about every connection, for `egresslab prove`.', INVARIANT)

/** As written; the keys are the file's own. */
export type RawInvariant = Static<typeof INVARIANT>

/** What a decision has to be; every key given must hold. */
export type InvariantDemand = RawInvariant['then']

export type ConfiguredInvariant = RawInvariant & {
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
