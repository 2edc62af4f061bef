// Comparisons without `[*]`: one value, found or missing. The forms rules are made of get closures of their own, so that
// the common comparison is one load and one test.

import type { Ip } from '../../net/ip.ts'
import { createIpSet } from '../../net/ip-set.ts'
import type { Comparison, Test } from '../tree.ts'
import type { Predicate } from './compile.ts'
import { valueTestOf } from './value-test.ts'
import { readerOf } from './walk-access.ts'

/** Compiles a comparison of type Bool. A missing value passes nothing but `!=`, and that only by the scheme's switch. */
export function compileComparison(node: Comparison, missingNotEqual: boolean): Predicate {
  const { access, test } = node
  const direct = access.indexes.length === 0 ? compileDirect(access.field.slot, test) : undefined
  if (direct !== undefined) return direct
  const read = readerOf(access)
  const passes = valueTestOf(test)
  const whenMissing = test.kind === 'order' && test.op === '!=' && missingNotEqual
  return (values, lists) => {
    const value = read(values)
    return value === undefined ? whenMissing : passes(value, lists)
  }
}

function compileDirect(slot: number, test: Test): Predicate | undefined {
  if (test.kind === 'truth') return (values) => values[slot] === true
  if (test.kind === 'order' && test.op === '==' && test.literal.type !== 'Ip') {
    const constant = test.literal.value
    return (values) => values[slot] === constant
  }
  if (test.kind === 'in-list') {
    const { name } = test.list
    return (values, lists) => {
      const value = values[slot]
      return value !== undefined && (lists.get(name)?.has(value) ?? false)
    }
  }
  if (test.kind !== 'in-set') return undefined
  if (test.set.type === 'Ip') {
    const addresses = createIpSet(test.set.members)
    return (values) => {
      const value = values[slot]
      return value !== undefined && addresses.has(value as Ip)
    }
  }
  const [a, b, ...others] = test.set.members.map((member) => ('first' in member ? member.first : member.value))
  const isSmall = others.length === 0 && a !== undefined
  if (!isSmall || test.set.members.some((member) => 'first' in member && member.first !== member.last)) return undefined
  if (b === undefined) return (values) => values[slot] === a
  return (values) => values[slot] === a || values[slot] === b
}
