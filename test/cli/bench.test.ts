// Load tests are too short here to say anything about speed: what is held is their shape, and that they really ran.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from './run.ts'

test('bench decide --json has the fields that scripts rely on', async () => {
  const args = ['bench', 'decide', '--rules', '50', '--connections', '500', '--seconds', '1', '--json']
  const { code, stdout, stderr } = await run(args)
  const result = JSON.parse(stdout)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(result).toMatchObject({ rules: 50, connections: 500, threads: 1, seconds: 1 })
  expect(result.ruleset_mb).toBeGreaterThanOrEqual(0)
  expect(Object.is(result.ruleset_mb, -0)).toBe(false)
  expect(result.decisions).toBeGreaterThan(0)
  for (const field of ['decisions_per_second', 'compile_ms', 'rss_mb']) expect(result[field]).toBeGreaterThan(0)
  const { p50, p90, p99, p999, max } = result.latency_ns
  expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].sort((a, b) => a - b))
  expect(p50).toBeGreaterThan(0)
})

test('bench decide says how much the cache knew, and decides without it when told so', async () => {
  const args = ['bench', 'decide', '--rules', '20', '--connections', '100', '--seconds', '1']
  const { stdout } = await run(args)
  expect(stdout).toMatch(/^cache +answered [\d.]+ %/m)
  const known = JSON.parse((await run([...args, '--json'])).stdout)
  expect(known.from_cache).toBeGreaterThan(0.5)
  const anew = JSON.parse((await run([...args, '--no-cache', '--json'])).stdout)
  expect(anew).toMatchObject({ from_cache: 0, not_from_cache_ns: anew.latency_ns })
})

test('bench decide without --rules takes the rules of the configuration', async () => {
  const { stdout } = await run(['bench', 'decide', '--connections', '100', '--seconds', '1', '--json'])
  expect(JSON.parse(stdout).rules).toBe(6)
})

test('bench decide draws percentiles and a histogram for people', async () => {
  const { stdout } = await run(['bench', 'decide', '--rules', '20', '--connections', '100', '--seconds', '1'])
  expect(stdout).toMatch(/^p99\.9 +[\d.]+ (ns|µs|ms)$/m)
  expect(stdout).toMatch(/^< [\d.]+ (ns|µs|ms) +[█·]+ +[\d.]+ %$/m)
})

test('bench decide writes its histogram as a picture or as data', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-bench-'))
  const args = ['bench', 'decide', '--rules', '20', '--connections', '100', '--seconds', '1', '--json']
  const data = join(folder, 'h.json')
  const { stdout } = await run([...args, '--histogram', data])
  const { histogram } = JSON.parse(readFileSync(data, 'utf8'))
  expect(histogram).toEqual(JSON.parse(stdout).histogram)
  const counts = histogram.map(({ count }: { count: number }) => count)
  expect(Math.min(counts.at(0), counts.at(-1))).toBeGreaterThan(0)
  for (const [at, { below_ns }] of histogram.entries()) expect(below_ns).toBe(histogram[0].below_ns * 2 ** at)
  const picture = join(folder, 'h.svg')
  await run([...args, '--histogram', picture])
  expect(readFileSync(picture, 'utf8')).toMatch(
    /^<svg xmlns[^>]* aria-label="how long one decision took"[\s\S]*%<\/text>\n<\/svg>\n$/,
  )
  const odd = await run([...args, '--histogram', join(folder, 'h.png')])
  expect([odd.code, odd.stderr]).toEqual([2, expect.stringContaining('expected a name that ends in .svg or .json')])
  rmSync(folder, { recursive: true })
})

test.each(['0', '-1', '1.5', 'many'])('bench decide --rules %s is refused', async (rules) => {
  const { code, stdout, stderr } = await run(['bench', 'decide', '--rules', rules])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('expected a whole number')
})

describe.runIf(process.platform === 'linux')('bench proxy', () => {
  test.each(['connect', 'http', 'socks5', 'udp'])('--mode %s carries operations without a failure', async (mode) => {
    const args = ['bench', 'proxy', '--mode', mode, '--concurrency', '4', '--seconds', '1', '--json']
    const { code, stdout } = await run(args)
    const result = JSON.parse(stdout)
    expect({ code, mode: result.mode, failures: result.failures }).toEqual({ code: 0, mode, failures: 0 })
    expect(result.operations).toBeGreaterThan(0)
    const counted = result.histogram.reduce((sum: number, { count }: { count: number }) => sum + count, 0)
    expect(counted).toBe(result.operations)
  })

  test('--mode relay moves bytes', async () => {
    const { code, stdout } = await run(['bench', 'proxy', '--mode', 'relay', '--seconds', '1', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout).bytes).toBeGreaterThan(0)
  })
})
