import { expect, it } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { checkLocalAddresses, checkPortFree, isInterfaceAddress } from '../../src/outbound/local-addresses.ts'
import { listen } from '../support/tcp.ts'

it('finds nothing wrong with loopback addresses, however many', async () => {
  const addresses = Array.from({ length: 300 }, (_, n) => ip(`127.18.${n >> 8}.${n & 255}`))
  expect(await checkLocalAddresses([...addresses, ip('::1')])).toEqual([])
})

it('lists every address that is not there, once each and in order', async () => {
  const issues = await checkLocalAddresses(['203.0.113.10', '127.0.10.10', '2001:db8::1', '203.0.113.10'].map(ip))
  expect(issues.map(({ code, message }) => [code, message])).toEqual([
    ['address.not_bindable', '`203.0.113.10` is not an address of this machine'],
    ['address.not_bindable', '`2001:db8::1` is not an address of this machine'],
  ])
  expect(issues[1]?.hint).toContain('::1')
})

it('tells a port that is taken from one that is free', async () => {
  const { port, server } = await listen()
  expect(await checkPortFree(ip('127.0.0.1'), port)).toMatchObject({
    code: 'listen.port_taken',
    message: `\`127.0.0.1:${port}\` is taken by another process`,
  })
  server.close()
  expect(await checkPortFree(ip('127.0.0.1'), port)).toBeUndefined()
  expect(await checkPortFree(ip('203.0.113.10'), port)).toMatchObject({ code: 'address.not_bindable' })
})

it('knows the addresses of this machine from those of others', () => {
  expect(isInterfaceAddress(ip('127.0.0.1'))).toBe(true)
  expect(isInterfaceAddress(ip('203.0.113.10'))).toBe(false)
})
