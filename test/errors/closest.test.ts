// "Did you mean": the nearest word, or none.

import { describe, expect, test } from 'vitest'
import { closest, didYouMean } from '../../src/errors/did-you-mean.ts'

describe('the nearest word', () => {
  test.each([
    ['ruels', ['users', 'rules'], 'rules'],
    ['RULES', ['rules'], 'rules'],
    ['a', ['b', 'c'], 'b'],
    ['lists', ['rules'], undefined],
    ['portt', ['port', 'ports'], 'port'],
    ['x'.repeat(65), ['x'.repeat(65)], undefined],
  ])('of %s among %j is %s', (typed, candidates, expected) => {
    expect(closest(typed, candidates)).toBe(expected)
  })
  test('is nearer where fewer letters may differ', () => {
    expect(closest('net.dst.asn', ['net.dst.ip'], 3)).toBe('net.dst.ip')
    expect(closest('net.dst.asn', ['net.dst.ip'], 5)).toBeUndefined()
    expect(closest('net.vent_id', ['net.vnet_id'], 11)).toBe('net.vnet_id')
  })
  test('or else what there is to choose from', () => {
    expect(didYouMean('zzz', ['aa', 'bb'], 'users')).toBe('users: `aa`, `bb`')
    expect(didYouMean('zzz', [])).toBeUndefined()
  })
})
