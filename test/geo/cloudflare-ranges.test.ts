import { describe, expect, test } from 'vitest'
import { isProxiedByCloudflare } from '../../src/geo/database.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'

describe('[E5] destinations behind Cloudflare are told by its published ranges', () => {
  test.each([
    '104.16.0.0',
    '104.27.255.255',
    '172.64.0.0',
    '172.71.255.255',
    '2606:4700::6810:84e5',
    '2a06:98c7:ffff::1',
  ])('%s is inside', (address) => {
    expect(isProxiedByCloudflare(ip(address))).toBe(true)
  })

  test.each(['104.15.255.255', '104.28.0.0', '172.63.255.255', '172.72.0.0', '198.51.100.7', '2606:4701::1', '::1'])(
    '%s is outside',
    (address) => {
      expect(isProxiedByCloudflare(ip(address))).toBe(false)
    },
  )

  test('the configuration may add prefixes of its own', () => {
    const further = [cidr('198.51.100.0/28')]
    expect(isProxiedByCloudflare(ip('198.51.100.15'), further)).toBe(true)
    expect(isProxiedByCloudflare(ip('198.51.100.16'), further)).toBe(false)
  })
})
