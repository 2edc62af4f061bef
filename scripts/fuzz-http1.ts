// Reads mutated messages with the codec, cut at every byte, and with an independent reading of the RFC, and compares:
//   node scripts/fuzz-http1.ts [messages = 200000] [first seed = 1]

import { isDeepStrictEqual } from 'node:util'
import { cuts, readByCodec, type Side } from '../test/http1/codec-reading.ts'
import { Dice, mutatedMessage } from '../test/http1/mutated-messages.ts'
import { readByRfc } from '../test/http1/rfc-reading.ts'

const [count = 200_000, first = 1] = process.argv.slice(2).map(Number)
const seen = { message: 0, refused: 0, incomplete: 0 }
let differences = 0
for (let seed = first; seed < first + count && differences < 10; seed++) {
  const side: Side = seed % 2 === 0 ? 'request' : 'response'
  const text = mutatedMessage(side, new Dice(seed))
  const method = seed % 14 === 1 ? 'HEAD' : 'GET'
  const bytes = Buffer.from(text, 'latin1')
  const expected = readByRfc(side, text, method)
  const actual = readByCodec(side, [bytes], method)
  seen[expected.kind]++
  if (!isDeepStrictEqual(actual, expected)) report('the RFC reads it differently', { seed, text, actual, expected })
  for (const pieces of cuts(bytes)) {
    const cut = readByCodec(side, pieces, method)
    if (isDeepStrictEqual(cut, actual)) continue
    report('the cut changes it', { seed, text, sizes: pieces.map(({ length }) => length), actual, cut })
    break
  }
}
process.stdout.write(`${JSON.stringify({ count, seen, differences })}\n`)
process.exitCode = differences === 0 ? 0 : 1

function report(what: string, facts: object): void {
  differences++
  process.stdout.write(`${what}: ${JSON.stringify(facts)}\n`)
}
