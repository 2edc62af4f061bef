// `npm run tour`: plays the documented scenarios through real curl and prints what was expected, what was seen and why.
// Exit 1 when any row differs. `--all` plays every situation there is an example or a scenario of, `--private` leaves a running
// lab alone, `--json` prints one document.

import { parseArgs } from 'node:util'
import { processIo } from '../src/cli/process-io.ts'
import { proofScenes, scenarioScenes } from './tour/example-scenes.ts'
import { runTour } from './tour/run-tour.ts'
import { SCENES } from './tour/scenes.ts'

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    private: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
process.exitCode = await runTour(values.all ? [...SCENES, ...proofScenes(), ...scenarioScenes()] : SCENES, {
  io: processIo(),
  alwaysPrivate: values.private,
  json: values.json,
})
