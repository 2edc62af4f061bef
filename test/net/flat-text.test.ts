import { describe, expect, it } from 'vitest'
import { flatText } from '../../src/net/ip.ts'

describe('text in one piece', () => {
  it.each(['', 'a', 'ab', 'origin.example.com', 'a😀b', '😀', '\ud83d', '\ude00\ud83d'])(
    'is the same text: %j',
    (text) => {
      expect(flatText(text)).toBe(text)
    },
  )
})
