import { describe, expect, test } from 'vitest'
import { play } from '../../scripts/tour/play.ts'
import { runTour } from '../../scripts/tour/run-tour.ts'
import { SCENES } from '../../scripts/tour/scenes.ts'
import { openStage } from '../../scripts/tour/stages.ts'

describe('npm run tour', () => {
  test('every documented scenario is seen as expected, each with its reason', { timeout: 60_000 }, async () => {
    const { io, written } = recorder()
    const code = await runTour(SCENES, { io, alwaysPrivate: true, json: true })
    const rows = JSON.parse(written()).scenes.flatMap((scene: { rows: unknown[] }) => scene.rows)
    expect(rows.filter((row: { good: boolean }) => !row.good)).toEqual([])
    expect(rows.filter((row: { why: string }) => row.why === '')).toEqual([])
    expect(rows.length).toBe(SCENES.flatMap((scene) => scene.steps).length)
    expect(code).toBe(0)
  })

  test('a row that differs shows and makes it exit 1', async () => {
    const [scene] = SCENES
    const [step] = scene?.steps ?? []
    if (scene === undefined || step === undefined) throw new RangeError('the tour has no scene')
    const { io, written } = recorder()
    const wrong = { ...scene, steps: [{ ...step, expected: '203.0.113.99 at AMS' }, step] }
    expect(await runTour([wrong], { io, alwaysPrivate: true, json: false })).toBe(1)
    expect(written()).toContain('NO  from Amsterdam  203.0.113.99 at AMS  203.0.113.10 at AMS\n')
    expect(written()).toContain('1 of 2 differ\n')
  })

  test('a proxy that does not answer is a difference in words, not a crash', async () => {
    const [step] = SCENES[0]?.steps ?? []
    if (step === undefined) throw new RangeError('the tour has no step')
    const row = await play(step, 'http://127.0.0.1:9')
    expect(row.good).toBe(false)
    expect(row.seen).toMatch(/^curl gave up \(7\): /)
  })

  test('a configuration that cannot start exits 2 and says why', async () => {
    const { io, complaints } = recorder()
    const scene = { title: 'nowhere', config: 'config/tour/no-such-file.yaml', steps: [] }
    expect(await runTour([scene], { io, alwaysPrivate: true, json: false })).toBe(2)
    expect(complaints()).toContain('no-such-file.yaml')
  })

  test('two private labs of the same configuration live side by side', async () => {
    const stages = [
      await openStage('config/tour/three-cities.yaml', true),
      await openStage('config/tour/three-cities.yaml', true),
    ]
    try {
      expect(new Set(stages.map(({ proxy }) => proxy)).size).toBe(2)
    } finally {
      for (const stage of stages) await stage.close()
    }
  })
})

function recorder() {
  let out = ''
  let err = ''
  const output = (take: (text: string) => void) => ({
    write: take,
    drained: async () => {},
    isTerminal: false,
    columns: 100,
  })
  const io = {
    stdin: (async function* () {})(),
    stdout: output((text) => {
      out += text
    }),
    stderr: output((text) => {
      err += text
    }),
    env: {},
  }
  return { io, written: () => out, complaints: () => err }
}
