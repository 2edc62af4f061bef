import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { labelOf, proofScenes, scenarioScenes } from '../../scripts/tour/example-scenes.ts'
import { openTourLab } from '../../scripts/tour/labs.ts'
import { play } from '../../scripts/tour/play.ts'
import { runTour } from '../../scripts/tour/run-tour.ts'
import { SCENES } from '../../scripts/tour/scenes.ts'

describe('npm run tour', () => {
  test('every documented scenario is seen as expected, each with its reason', async () => {
    const { io, written } = recorder()
    const code = await runTour(SCENES, { io, alwaysPrivate: true, json: true })
    const rows = JSON.parse(written()).scenes.flatMap((scene: { rows: unknown[] }) => scene.rows)
    expect(rows.filter((row: { good: boolean }) => !row.good)).toEqual([])
    expect(rows.filter((row: { why: string }) => row.why === '')).toEqual([])
    expect(rows.length).toBe(SCENES.flatMap((scene) => scene.steps).length)
    expect(code).toBe(0)
  })

  test('--all has a scene for every configuration and every scenario that is shipped, each with rows', () => {
    const files = ['config/examples', 'config/tour', 'scenarios'].flatMap((folder) =>
      readdirSync(folder).flatMap((name) => (name.endsWith('.yaml') ? [`${folder}/${name}`] : [])),
    )
    const scenes = [...proofScenes(), ...scenarioScenes()]
    expect(scenes.map(({ config }) => config).sort()).toEqual(['config/lab.yaml', ...files].sort())
    expect(scenes.filter(({ title }) => title.length < 10)).toEqual([])
    expect(scenes.filter((scene) => scene.kind === 'proof' && scene.proof.commands.length === 0)).toEqual([])
  })

  test('rows read off files are seen as promised, with their reasons', async () => {
    const scenes = [...proofScenes(), ...scenarioScenes()].filter(({ config }) =>
      [
        'config/examples/virtual-networks.yaml',
        'config/examples/exit-elsewhere.yaml',
        'scenarios/new-address.yaml',
      ].includes(config),
    )
    const { io, written } = recorder()
    expect(await runTour(scenes, { io, alwaysPrivate: true, json: false })).toBe(0)
    expect(written()).toContain(
      'alice@example.com;vnet=vnet-AMER → http://ipv4.icanhazip.com/  203.0.113.40  203.0.113.40\n',
    )
    expect(written()).toContain(
      'rule `vnet-AMER leaves from Los Angeles` (precedence 1000) sends this to 203.0.113.40 at LAX\n',
    )
    expect(written()).toContain('2 s: the databases know')
    expect(written()).toContain('all 11 rows are as expected\n')
  })

  test('a promise that is not kept shows and makes it exit 1', async () => {
    const scene = proofScenes().find(({ config }) => config === 'config/examples/one-dedicated-ip.yaml')
    if (scene === undefined) throw new RangeError('the example is gone')
    const commands = scene.proof.commands.map((one) => ({ ...one, output: '203.0.113.99\n' }))
    const { io, written } = recorder()
    const wrong = { ...scene, proof: { ...scene.proof, commands } }
    expect(await runTour([wrong], { io, alwaysPrivate: true, json: false })).toBe(1)
    expect(written()).toMatch(/^NO {2}.*203\.0\.113\.99 {2}/m)
  })

  test.each([
    [
      `curl -s -x http://127.0.0.1:8080 -U 'bob@example.com;vnet=x:lab-bob' http://a.test/p | grep x`,
      'bob@example.com;vnet=x → http://a.test/p',
    ],
    [`curl -s -x http://127.0.0.1:8081 http://a.test/`, 'http://a.test/'],
    ['node config/examples/udp/ask.mjs', 'node config/examples/udp/ask.mjs'],
  ])('%s is told as %s', (command, label) => expect(labelOf(command)).toBe(label))

  test('a row that differs shows and makes it exit 1', async () => {
    const [scene] = SCENES
    const [step] = scene?.steps ?? []
    if (scene === undefined || step === undefined) throw new RangeError('the tour has no scene')
    const { io, written } = recorder()
    const wrong = { ...scene, steps: [{ ...step, expected: '203.0.113.99 at AMS' }, step] }
    expect(await runTour([wrong], { io, alwaysPrivate: true, json: false })).toBe(1)
    expect(written()).toContain('NO  from Amsterdam  203.0.113.99 at AMS  203.0.113.10 at AMS\n')
    expect(written()).toContain('1 of 2 rows differ\n')
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
    const labs = [
      await openTourLab('config/tour/three-cities.yaml', true),
      await openTourLab('config/tour/three-cities.yaml', true),
    ]
    try {
      expect(new Set(labs.map(({ proxy }) => proxy)).size).toBe(2)
    } finally {
      for (const tourLab of labs) await tourLab.close()
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
