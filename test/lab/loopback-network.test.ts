import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { reserveLoopbackNetwork } from '../../src/lab/loopback-network.ts'

test('two labs never get the same network, and one that is given back is free again', async () => {
  const first = await reserveLoopbackNetwork()
  const second = await reserveLoopbackNetwork()
  expect(first.network).toMatch(/^127\.2\d\d\.0\.0\/16$/)
  expect(second.network).not.toBe(first.network)
  first.release()
  const again = await reserveLoopbackNetwork()
  expect(again.network).toBe(first.network)
  second.release()
  again.release()
})

test('nor do two processes', async () => {
  const own = await Promise.all(Array.from({ length: 5 }, () => reserveLoopbackNetwork()))
  const program = `import { reserveLoopbackNetwork } from './src/lab/loopback-network.ts'
Object.defineProperty(process, 'pid', { value: ${process.pid} })
process.stdout.write((await reserveLoopbackNetwork()).network)`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  expect(stdout).toMatch(/^127\./)
  expect(own.map(({ network }) => network)).not.toContain(stdout)
  for (const { release } of own) release()
})
