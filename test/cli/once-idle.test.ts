// Work that blocks the thread waits until nobody needs the thread.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { onceIdle } from '../../src/cli/once-idle.ts'
import { PATIENCE_MS } from '../support/patience.ts'

it('waits while the thread is busy, and is done once when it is not any more', async () => {
  const times: ('busy' | 'idle')[] = []
  let state: 'busy' | 'idle' = 'busy'
  onceIdle(() => times.push(state), 50)
  const end = performance.now() + 500
  while (performance.now() < end) await turn()
  expect(times).toEqual([])
  state = 'idle'
  await vi.waitUntil(() => times.length > 0, { timeout: PATIENCE_MS, interval: 500 })
  expect(times).toEqual(['idle'])
})
