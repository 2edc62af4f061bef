// The engine that tests run on: EGRESSLAB_TEST_ENGINE=node or linux runs them on that one.

import { chooseEngine, type EngineChoice } from '../../src/transport/choose-engine.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { nodeEngine } from '../../src/transport/node/node-engine.ts'

const CHOICES: readonly EngineChoice[] = ['auto', 'linux', 'node']

export const engine = chooseEngine(
  CHOICES.find((choice) => choice === process.env.EGRESSLAB_TEST_ENGINE) ?? 'auto',
  (message) => {
    throw new Error(message)
  },
)

/** Every engine this machine has, by name, for `describe.each`. */
export const ENGINES: readonly (readonly [string, Engine])[] =
  engine === nodeEngine
    ? [['node', nodeEngine]]
    : [
        [engine.name, engine],
        ['node', nodeEngine],
      ]
