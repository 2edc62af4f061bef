// The tour from the first scene to the verdict: opens each lab once, plays the steps one after the other, prints as it goes.

import { renderIssues } from '../../src/cli/render/render-issues.ts'
import { type Io, renderTable, stylesFor, type TextStyles } from '../../src/cli/terminal.ts'
import { InputError } from '../../src/errors/issue.ts'
import { openTourLab, type TourLab } from './labs.ts'
import { play, playProof, playScenarioScene, type Row } from './play.ts'
import type { Scene } from './scenes.ts'

export interface TourOptions {
  readonly io: Io
  /** do not look for a running lab */
  readonly alwaysPrivate: boolean
  /** one document at the end instead of tables */
  readonly json: boolean
}

/** Plays the scenes. Answers the exit code: 0 when every row is as expected, 1 when one differs, 2 when a lab cannot start. */
export async function runTour(scenes: readonly Scene[], options: TourOptions): Promise<0 | 1 | 2> {
  const { io } = options
  const labs = new Map<string, TourLab>()
  try {
    const played: { title: string; config: string; rows: Row[] }[] = []
    for (const scene of scenes) {
      const { title, config } = scene
      const { rows, where } = await perform(scene, labs, options)
      if (!options.json) io.stdout.write(renderScene(scene, rows, where, stylesFor(io, io.stdout)))
      played.push({ title, config, rows })
    }
    const rows = played.flatMap((scene) => scene.rows)
    const differing = rows.filter(({ good }) => !good).length
    if (options.json) io.stdout.write(`${JSON.stringify({ good: differing === 0, scenes: played }, null, 2)}\n`)
    else io.stdout.write(verdict(rows.length, differing, stylesFor(io, io.stdout)))
    return differing === 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    io.stderr.write(renderIssues(error.issues, stylesFor(io, io.stderr)))
    return 2
  } finally {
    for (const tourLab of labs.values()) await tourLab.close()
  }
}

async function perform(scene: Scene, labs: Map<string, TourLab>, { alwaysPrivate }: TourOptions) {
  if (scene.kind === 'proof') return { rows: await playProof(scene), where: 'a private lab' }
  if (scene.kind === 'scenario') return { rows: await playScenarioScene(scene), where: 'a private lab' }
  const tourLab = labs.get(scene.config) ?? (await openTourLab(scene.config, alwaysPrivate))
  labs.set(scene.config, tourLab)
  const rows: Row[] = []
  for (const step of scene.steps) rows.push(await play(step, tourLab.proxy))
  return { rows, where: tourLab.isPrivate ? 'a private lab' : `the lab at ${tourLab.proxy}` }
}

/** Title, where it plays, and each row with its reason on a line below. */
function renderScene({ title, config }: Scene, rows: readonly Row[], place: string, style: TextStyles): string {
  const cells = rows.map(({ scenario, expected, seen, good }) => [
    good ? style.good('ok') : style.bad('NO'),
    scenario,
    expected,
    good ? seen : style.bad(seen),
  ])
  const table = renderTable([['', 'SCENARIO', 'EXPECTED', 'SEEN'].map(style.dim), ...cells])
  const [head = '', ...lines] = table.split('\n')
  const where = `${config}, ${place}`
  const body = rows.map(({ why }, at) => `${lines[at]}\n${style.dim(`    ${why}`)}\n`)
  return `${style.strong(title)}  ${style.dim(where)}\n${head}\n${body.join('')}\n`
}

function verdict(all: number, differing: number, style: TextStyles): string {
  return differing === 0
    ? style.good(`all ${all} rows are as expected
`)
    : style.bad(`${differing} of ${all} rows differ
`)
}
