// Sealed notes: nobody else makes, reads or changes one.

import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSealer, KEY_BYTES } from '../../src/identity/sign-in.ts'

const sealer = createSealer(randomBytes(KEY_BYTES))
const note = { email: 'alice@example.com', until: 5 }

test('a note comes back as it was, says nothing in between, and is never the same twice', () => {
  const text = sealer.seal('site', note)
  expect(sealer.open('site', text)).toEqual(note)
  expect(Buffer.from(text, 'base64url').toString('latin1')).not.toContain('alice')
  expect(sealer.seal('site', note)).not.toBe(text)
})

test('another purpose, another key, any changed character, and nonsense open nothing', () => {
  const text = sealer.seal('site', note)
  expect(sealer.open('page', text)).toBeUndefined()
  expect(createSealer(randomBytes(KEY_BYTES)).open('site', text)).toBeUndefined()
  for (let at = 0; at < text.length - 1; at++) {
    const other = text[at] === 'A' ? 'B' : 'A'
    expect(sealer.open('site', text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined()
  }
  for (const nonsense of ['', 'a', 'not base64!', 'A'.repeat(38), 'A'.repeat(9000), text.slice(0, -8)]) {
    expect(sealer.open('site', nonsense)).toBeUndefined()
  }
})
