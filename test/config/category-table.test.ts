import { expect, test } from 'vitest'
import { createCategoryTable } from '../../src/config/read-destinations.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'

const categoriesOf = createCategoryTable([
  { host: 'Example.com', contentCategories: [1, 2], applications: [10] },
  { host: 'shop.example.com', contentCategories: [2, 3], applications: [] },
  { network: cidr('198.51.100.0/24'), contentCategories: [4], applications: [11] },
])
const address = ip('203.0.113.1')
const named = (name: string) => categoriesOf({ kind: 'name', name, port: 443 }, address)

test('a host entry covers the name and its subdomains, and nothing that only ends alike', () => {
  expect(named('example.com')).toEqual({ contentCategories: [1, 2], applications: [10] })
  expect(named('a.b.example.com')).toEqual({ contentCategories: [1, 2], applications: [10] })
  expect(named('badexample.com')).toEqual({ contentCategories: [], applications: [] })
})

test('every entry that fits counts, each number once', () => {
  expect(named('shop.example.com')).toEqual({ contentCategories: [2, 3, 1], applications: [10] })
})

test('a network entry goes by the address really reached, also of a name', () => {
  const inside = ip('198.51.100.7')
  const expected = { contentCategories: [4], applications: [11] }
  expect(categoriesOf({ kind: 'ip', ip: inside, port: 80 }, inside)).toEqual(expected)
  expect(categoriesOf({ kind: 'name', name: 'other.test', port: 80 }, inside)).toEqual(expected)
  expect(categoriesOf({ kind: 'ip', ip: address, port: 80 }, address)).toEqual({
    contentCategories: [],
    applications: [],
  })
})
