import { describe, expect, test } from 'vitest'
import { firstProblem, normal, problemsOf, verdict } from './support.ts'

describe('the shipped rules of a lab', () => {
  const facts = {
    'net.dst.port': 443,
    'net.dst.ip': '10.1.2.3',
    'net.fqdn.host': 'www.example.com',
    'identity.groups.name': ['Finance', 'Staff'],
    'identity.saml_attributes': { department: ['R&D'] },
  }
  test.each([
    ['net.dst.port == 443 and net.dst.ip in {10.0.0.0/8}', true],
    ['any(identity.groups.name[*] in {"Finance"})', true],
    ['any(identity.groups[*].name in {"Finance"})', true],
    ['any(identity.groups[*].name == "finance")', false],
    ['any(identity.saml_attributes["department"] in {"R&D"})', true],
    ['not(net.fqdn.host matches ".*\\.example\\.com$")', false],
  ])('%s is %s', (source, expected) => {
    expect(verdict(source, facts)).toBe(expected)
  })
})

test('the normal form is the tree printed again', () => {
  expect(normal('net.dst.port  in {23 53 } and  not (net.dst.ip in {10.0.0.1/32})')).toBe(
    'net.dst.port in {23 53} and not(net.dst.ip in {10.0.0.1})',
  )
})

test('[R11] what the API refuses is refused with its right spelling', () => {
  expect(firstProblem('net.dst.ip == "10.50.20.5"')).toBe('syntax 14-26 "\\"10.50.20.5\\""')
  expect(problemsOf('net.dst.ip == "10.50.20.5"')[0]).toMatchObject({
    message: 'expected IP address character',
    hint: 'write the address without quotes: `10.50.20.5`',
  })
})
