// [A4]: the tree printed again.

import { expect, test } from 'vitest'
import { normal } from './support.ts'

test.each([
  ['i==1', 'i == 1'],
  ['  i   ==\n\t1  ', 'i == 1'],
  ['i in {23 53 }', 'i in {23 53}'],
  ['i in { }', 'i in {}'],
  ['i in {3..5   1}', 'i in {3..5 1}'],
  ['not (b)', 'not(b)'],
  ['not b', 'not b'],
  ['!b', 'not b'],
  ['! ( b )', 'not(b)'],
  ['not not(b)', 'not not(b)'],
  ['((b))', '((b))'],
  ['(b and (c))', '(b and (c))'],
  ['b&&c||b^^c', 'b and c or b xor c'],
  ['b or b and c', 'b or b and c'],
  ['i eq 1', 'i == 1'],
  ['i ne 0x10', 'i != 16'],
  ['i bitwise_and 010', 'i & 8'],
  ['s ~ "a"', 's matches "a"'],
  ['s matches r#"a"b"#', 's matches r#"a"b"#'],
  ['s strict wildcard "*"', 's strict wildcard "*"'],
  ['p == 2001:DB8:0::1', 'p == 2001:db8::1'],
  ['p in {10.0.0.1/32}', 'p in {10.0.0.1}'],
  ['p in {::1/128 10/8 010.0.0.1}', 'p in {::1 10.0.0.0/8 10.0.0.1}'],
  ['p in {10.0.0.1..10.0.0.1}', 'p in {10.0.0.1..10.0.0.1}'],
  ['p in {2001:DB8::/32}', 'p in {2001:db8::/32}'],
  ['s in {"b""a" r"c" 64:65}', 's in {"b" "a" r"c" 64:65}'],
  ['s == "a\\x41\nb"', 's == "a\\x41\nb"'],
  ['any ( ss[ * ]=="a" )', 'any(ss[*] == "a")'],
  ['all( ( ss[*]=="a" or bb ) )', 'all((ss[*] == "a" or bb))'],
  ['m[ "k" ] == "v"', 'm["k"] == "v"'],
  ['ii[0x1] == 1', 'ii[1] == 1'],
  ['s in $list', 's in $list'],
  ['b or c or b', 'b or c or b'],
])('%j becomes %j', (source, expected) => {
  expect(normal(source)).toBe(expected)
  expect(normal(expected)).toBe(expected)
})
