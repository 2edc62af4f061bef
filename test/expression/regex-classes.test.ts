// Bracketed classes of any build, against a model of what the Rust dialect makes of them ([L15]).

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRegex } from '../../src/expression/regex/regex.ts'

/** A class as a set of bytes and as one of its spellings in verbose mode. */
interface Modelled {
  readonly members: ReadonlySet<number>
  readonly text: string
}

const bytes = Array.from({ length: 256 }, (_, byte) => byte)
const setOf = (test: (byte: number) => boolean): Set<number> => new Set(bytes.filter(test))
const between = (first: number, last: number) => setOf((byte) => byte >= first && byte <= last)
const swapCase = (byte: number) => (/[a-z]/i.test(String.fromCharCode(byte)) ? byte ^ 0x20 : byte)

// the model says it the long way round: fold, then combine or negate, at every bracket and every operator
function modelled(isFolded: boolean): fc.Arbitrary<Modelled> {
  const folded = (set: ReadonlySet<number>) =>
    isFolded ? setOf((byte) => set.has(byte) || set.has(swapCase(byte))) : set
  const operators: Record<string, (a: ReadonlySet<number>, b: ReadonlySet<number>) => ReadonlySet<number>> = {
    '&&': (a, b) => setOf((byte) => a.has(byte) && b.has(byte)),
    '--': (a, b) => setOf((byte) => a.has(byte) && !b.has(byte)),
    '~~': (a, b) => setOf((byte) => a.has(byte) !== b.has(byte)),
  }
  const not = (set: ReadonlySet<number>) => setOf((byte) => !set.has(byte))
  const blank = fc.constantFrom('', '', ' ', '\n', '\u0085', '\u00a0', '\u3000', '# ] comment\n')
  const letter = fc.integer({ min: 0x41, max: 0x7a })
  const leaf = fc.oneof(
    letter.map((byte) => ({ members: new Set([byte]), text: `\\x${byte.toString(16)}` })),
    fc.tuple(letter, letter, blank, fc.constantFrom('', ' ', '\n')).map(([a, b, before, behind]) => {
      const [first, last] = a < b ? [a, b] : [b, a]
      const text = `\\x${first.toString(16)}${before}-${behind}\\x${last.toString(16)}`
      return { members: between(first, last), text }
    }),
    fc.constantFrom(
      { members: between(0x30, 0x39), text: '\\d' },
      { members: not(between(0x30, 0x39)), text: '\\D' },
      { members: folded(between(0x61, 0x7a)), text: '[:lower:]' },
      { members: not(folded(between(0x61, 0x7a))), text: '[:^lower:]' },
      { members: not(folded(between(0x41, 0x5a))), text: '[:^upper:]' },
    ),
  )
  const { bracket } = fc.letrec<{ bracket: Modelled; item: Modelled }>((tie) => ({
    item: fc.oneof({ maxDepth: 3, withCrossShrink: true }, leaf, tie('bracket')),
    bracket: fc
      .tuple(
        fc.boolean(),
        fc.array(fc.tuple(fc.constantFrom('&&', '--', '~~'), fc.array(tie('item'), { minLength: 1, maxLength: 3 })), {
          minLength: 1,
          maxLength: 3,
        }),
        blank,
      )
      .map(([isNegated, parts, space]) => {
        let members: ReadonlySet<number> = new Set()
        let text = `[${space}${isNegated ? `^${space}` : ''}`
        for (const [at, [operator, items]] of parts.entries()) {
          const right = setOf((byte) => items.some((item) => item.members.has(byte)))
          members = at === 0 ? right : (operators[operator]?.(folded(members), folded(right)) ?? members)
          text += `${at === 0 ? '' : operator}${items.map((item) => item.text + space).join('')}`
        }
        const all = folded(members)
        return { members: isNegated ? not(all) : all, text: `${text}]` }
      }),
  }))
  return bracket
}

test.each([
  ['(?x)', false],
  ['(?xi)', true],
])('a class of any build holds the bytes it says, with %s', (flags, isFolded) => {
  fc.assert(
    fc.property(modelled(isFolded), ({ members, text }) => {
      const result = createRegex(`${flags}^${text}$`, 10 * 2 ** 20)
      if (!result.ok) throw new Error(`${text}: ${result.message}`)
      const held = bytes.filter((byte) => result.regex.matches(String.fromCharCode(byte)))
      expect(held).toEqual([...members].sort((a, b) => a - b))
    }),
    { numRuns: Number(process.env.EGRESSLAB_FUZZ ?? 500) },
  )
})
