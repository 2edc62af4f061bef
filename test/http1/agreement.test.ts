// The codec against an independent reading of RFC 9112, on sound and mutated messages; `scripts/fuzz-http1.ts` reads more of them.

import { expect, test } from 'vitest'
import { cuts, readByCodec, type Side } from './codec-reading.ts'
import { Dice, mutatedMessage } from './mutated-messages.ts'
import { readByRfc } from './rfc-reading.ts'

const MESSAGES = 2_000

test.each<[Side, number]>([
  ['request', 1],
  ['response', 1_000_001],
])('a %s means the same to the codec, wherever it is cut, and to a second reader of the RFC', (side, first) => {
  const kinds = new Set<string>()
  for (let seed = first; seed < first + MESSAGES; seed++) {
    const text = mutatedMessage(side, new Dice(seed))
    const method = seed % 7 === 1 ? 'HEAD' : 'GET'
    const bytes = Buffer.from(text, 'latin1')
    const reading = readByCodec(side, [bytes], method)
    kinds.add(reading.kind)
    expect({ text, ...reading }).toEqual({ text, ...readByRfc(side, text, method) })
    for (const pieces of cuts(bytes)) {
      const cut = readByCodec(side, pieces, method)
      if (JSON.stringify(cut) !== JSON.stringify(reading)) {
        expect({ text, pieces: pieces.map(String), ...cut }).toEqual({ text, ...reading })
      }
    }
  }
  expect([...kinds].sort()).toEqual(['incomplete', 'message', 'refused'])
})
