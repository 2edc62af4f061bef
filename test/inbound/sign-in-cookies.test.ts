// The lab's own cookies are taken out of requests, and nothing else is.

import { describe, expect, test } from 'vitest'
import { takeSignInCookies } from '../../src/inbound/http-forward/hop-by-hop.ts'

describe('what is left of a Cookie field', () => {
  test.each([
    ['egresslab_user=abc', undefined],
    ['a=1; egresslab_user=abc; b=2', 'a=1; b=2'],
    ['egresslab_user=abc; a=1', 'a=1'],
    ['a=1; egresslab_nonce=n; egresslab_user=abc', 'a=1'],
    ['a=1;egresslab_page_8090=x;b=2', 'a=1;b=2'],
    ['egresslab_session_8090=x', undefined],
    ['a=egresslab_user=abc', 'a=egresslab_user=abc'],
    ['my_egresslab_user=abc', 'my_egresslab_user=abc'],
    ['a; b=2; =3', 'a; b=2; =3'],
    ['a="x; y"', 'a="x; y"'],
  ])('%s', (value, left) => {
    const fields = ['Accept', '*/*', 'Cookie', value, 'X-Other', 'egresslab_user=abc']
    takeSignInCookies(fields)
    const kept = left === undefined ? [] : ['Cookie', left]
    expect(fields).toEqual(['Accept', '*/*', ...kept, 'X-Other', 'egresslab_user=abc'])
  })

  test('they are told apart, over several fields and letter cases of the name', () => {
    const fields = ['COOKIE', 'egresslab_user=u=1', 'cookie', 'egresslab_nonce=n; c=3']
    expect(takeSignInCookies(fields)).toEqual({
      user: 'u=1',
      nonce: 'n',
      lab: 'egresslab_nonce=n; egresslab_user=u=1',
    })
    expect(fields).toEqual(['cookie', 'c=3'])
  })
})
