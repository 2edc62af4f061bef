import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileNode, type Expression, parseExpression } from '../../src/expression/index.ts'
import { GATEWAY_SCHEME } from '../../src/policy/fields.ts'
import { withParents } from '../../src/policy/flow-values.ts'
import { emptyValues, hostAxis, putField, type Values } from '../../src/prove/axes.ts'
import { Script } from '../../src/prove/terms.ts'
import { textClasses } from '../../src/prove/text-classes.ts'
import { TextTestCollector, Vocabulary } from '../../src/prove/vocabulary.ts'
import { anyExpression } from '../expression/generate.ts'

function parsed(source: string): Expression {
  const result = parseExpression(source, GATEWAY_SCHEME)
  if (!result.ok) throw new Error(source)
  return result.expression
}

/** The truth of every leaf, as a text. */
function signatureOf(vocabulary: Vocabulary, put: (values: Values) => void): string {
  const values = emptyValues()
  put(values)
  return vocabulary.leaves
    .map(({ node, lists, missingNotEqual }) => (compileNode(node, missingNotEqual)(values, lists) ? 1 : 0))
    .join('')
}

function vocabularyOf(sources: readonly string[]): Vocabulary {
  const vocabulary = new Vocabulary()
  for (const source of sources) vocabulary.add(parsed(source), new Map())
  return vocabulary
}

const BITS = ['a', 'b', 'e', 'x', 'am', 'ple', 'ex', 'com', '*', 'c\nd', 'E', 'k=a', '\xc3\xaf', 'example', '1', ' ']
const LABELS = ['www', 'example', 'com', 'a', 'b', 'ab', 'x', 'test', 'k', '1a', 'exple', 'ex-ple']
const anySources = (fields: readonly string[]) =>
  fc.array(anyExpression(GATEWAY_SCHEME, { depth: 2, fields, regexPercent: 30 }), { minLength: 1, maxLength: 5 })
const runs = { numRuns: 80, seed: 20_261_130 }

describe('every text is in a class that has a text which no test tells apart from it', () => {
  test('for arbitrary text', () => {
    fc.assert(
      fc.property(
        anySources(['identity.email']),
        fc.array(fc.array(fc.constantFrom(...BITS), { maxLength: 5 }), { maxLength: 20 }),
        (sources, texts) => {
          const vocabulary = vocabularyOf(sources)
          const collector = new TextTestCollector()
          for (const one of vocabulary.testsOf('identity.email')) collector.add(one)
          const { equal, folded, scans } = collector
          const classes = textClasses({ equal, folded, scans }, 20_000)
          const put = (text: string) => (values: Values) => putField(values, 'identity.email', text)
          if (classes === undefined) return
          const known = new Set(classes.texts.map((text) => signatureOf(vocabulary, put(text))))
          for (const text of texts) expect(known).toContain(signatureOf(vocabulary, put(text.join(''))))
        },
      ),
      runs,
    )
  })

  test('for host names with all their parent domains', () => {
    fc.assert(
      fc.property(
        anySources(['net.fqdn.host', 'net.fqdn.domains']),
        fc.array(fc.array(fc.constantFrom(...LABELS), { minLength: 1, maxLength: 5 }), { maxLength: 20 }),
        (sources, hosts) => {
          const vocabulary = vocabularyOf(sources.filter((source) => !/domains\[\s*\d/.test(source)))
          const axis = hostAxis(new Script(), vocabulary, [], true)
          const known = new Set(axis?.hosts.map((_, at) => signatureOf(vocabulary, (values) => axis.put(at, values))))
          for (const labels of hosts) {
            const host = labels.join('.')
            const signature = signatureOf(vocabulary, (values) => {
              putField(values, 'net.fqdn.host', host)
              putField(values, 'net.fqdn.domains', withParents(host))
            })
            expect(known).toContain(signature)
          }
        },
      ),
      runs,
    )
  })
})
