import { expect, test } from 'vitest'
import { run } from './run.ts'

const lines = (...requests: unknown[]) => `${requests.map((request) => JSON.stringify(request)).join('\n')}\n`
const answers = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

test('answers each request on a line of its own, in order, with verdict and normal form', async () => {
  const stdin = lines(
    { id: 1, expr: 'net.dst.port in {443   80}', facts: { 'net.dst.port': 80 } },
    { id: 'two', expr: 'net.dst.ip == 198.51.100.4', facts: { 'net.dst.ip': '198.51.100.5' } },
    { id: 3, expr: 'any(identity.groups.name[*] == "Finance")', facts: { 'identity.groups.name': ['Finance'] } },
    { expr: 'net.dst.ip in $blocked', facts: { 'net.dst.ip': '10.1.2.3' }, lists: { blocked: ['10.0.0.0/8'] } },
  )
  const { code, stdout, stderr } = await run(['expr'], { stdin })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(answers(stdout)).toEqual([
    { id: 1, valid: true, match: true, normal: 'net.dst.port in {443 80}' },
    { id: 'two', valid: true, match: false, normal: 'net.dst.ip == 198.51.100.4' },
    { id: 3, valid: true, match: true, normal: 'any(identity.groups.name[*] == "Finance")' },
    { valid: true, match: true, normal: 'net.dst.ip in $blocked' },
  ])
})

test('a field left out is missing, so a comparison with it does not match', async () => {
  const { stdout } = await run(['expr'], { stdin: lines({ id: 1, expr: 'net.dst.port == 80' }) })
  expect(answers(stdout)).toEqual([{ id: 1, valid: true, match: false, normal: 'net.dst.port == 80' }])
})

test('a bad expression is answered with code, message and span, and the rest goes on with exit code 0', async () => {
  const stdin = lines({ id: 1, expr: 'net.dst.prt == 80' }, { id: 2, expr: 'net.dst.port == 80' })
  const { code, stdout } = await run(['expr'], { stdin })
  const [bad, good] = answers(stdout)
  expect(code).toBe(0)
  expect(bad).toMatchObject({ id: 1, valid: false, error: { code: 'expression.unknown_field', span: [0, 11] } })
  expect(good).toMatchObject({ id: 2, valid: true })
})

test('a line that is no request is answered too, and the exit code is 2', async () => {
  const { code, stdout } = await run(['expr'], { stdin: `nonsense\n${lines({ id: 2, expr: 'net.dst.port == 80' })}` })
  expect(code).toBe(2)
  expect(answers(stdout)).toEqual([
    expect.objectContaining({ valid: false, error: expect.objectContaining({ code: 'request.malformed' }) }),
    expect.objectContaining({ id: 2, valid: true }),
  ])
})

test('requests may arrive in any pieces, with CRLF, with blank lines, without a last line feed', async () => {
  const text = `${lines({ id: 1, expr: 'net.dst.port == 1' })}\r\n\n${JSON.stringify({ id: 2, expr: 'net.dst.port == 2' })}`
  const { code, stdout } = await run(['expr'], { stdin: text.split('') })
  expect(code).toBe(0)
  expect(answers(stdout).map(({ id }) => id)).toEqual([1, 2])
})

test('--mode lenient takes what only the documentation has; the default says how to write it', async () => {
  const stdin = lines({ id: 1, expr: 'net.dst.port == "80"', facts: { 'net.dst.port': 80 } })
  const strict = await run(['expr'], { stdin })
  const lenient = await run(['expr', '--mode', 'lenient'], { stdin })
  expect(answers(strict.stdout)).toEqual([expect.objectContaining({ id: 1, valid: false })])
  expect(answers(lenient.stdout)).toEqual([expect.objectContaining({ id: 1, valid: true, match: true })])
})
