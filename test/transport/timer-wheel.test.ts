import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TimerWheel } from '../../src/transport/timer-wheel.ts'

describe('the deadline clock', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('fires each deadline once, never early and at most two ticks late', () => {
    const clock = new TimerWheel(50)
    const start = performance.now()
    const fired = new Map<number, number>()
    const delays = [0, 1, 49, 50, 51, 120, 1_000, 25_600, 25_650, 60_000, 8 * 3_600_000]
    for (const delay of delays) clock.after(delay, () => fired.set(delay, performance.now() - start))
    vi.advanceTimersByTime(8 * 3_600_000 + 200)
    for (const delay of delays) {
      expect(fired.get(delay)).toBeGreaterThanOrEqual(delay)
      expect(fired.get(delay)).toBeLessThanOrEqual(delay + 100)
    }
    expect(clock.pending).toBe(0)
  })

  it('never fires what was cancelled, also by a neighbour firing in the same tick', () => {
    const clock = new TimerWheel(50)
    const seen: string[] = []
    const cancelled = clock.after(100, () => seen.push('cancelled'))
    const victims = [1, 2, 3].map((n) => clock.after(100, () => seen.push(`victim ${n}`)))
    clock.after(100, () => {
      seen.push('killer')
      for (const victim of victims) victim.cancel()
    })
    cancelled.cancel()
    cancelled.cancel()
    vi.advanceTimersByTime(500)
    expect(seen.filter((name) => name === 'cancelled')).toEqual([])
    expect(seen).toContain('killer')
    expect(clock.pending).toBe(0)
  })

  it('lets a deadline set another one while firing', () => {
    const clock = new TimerWheel(50)
    let again = 0
    clock.after(100, () => clock.after(100, () => again++))
    vi.advanceTimersByTime(150)
    expect(again).toBe(0)
    vi.advanceTimersByTime(300)
    expect(again).toBe(1)
  })

  it('runs no timer while nothing is pending, and starts again afterwards', () => {
    const clock = new TimerWheel(50)
    clock.after(100, () => {})
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(200)
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(3_600_000)
    let fired = 0
    clock.after(100, () => fired++)
    vi.advanceTimersByTime(99)
    expect(fired).toBe(0)
    vi.advanceTimersByTime(101)
    expect(fired).toBe(1)
  })

  it('catches up after a pause longer than a turn of the wheel', () => {
    const clock = new TimerWheel(1)
    const fired: number[] = []
    for (const delay of [10, 700, 1_500]) clock.after(delay, () => fired.push(delay))
    vi.setSystemTime(Date.now() + 10_000)
    vi.advanceTimersByTime(2_000)
    expect(fired.sort((a, b) => a - b)).toEqual([10, 700, 1_500])
  })
})
