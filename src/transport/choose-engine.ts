// Which engine carries the connections of this process. The only place that knows them by name.

import type { Engine, EngineName } from './engine.ts'
import { nodeEngine } from './node/node-engine.ts'

/** As configured: `auto` takes the best that works here. */
export type EngineChoice = 'auto' | EngineName

/** `warn` is told why an engine that was asked for is not used. */
export function chooseEngine(choice: EngineChoice, warn: (message: string) => void): Engine {
  if (choice === 'linux') warn('the engine `linux` is not available here; the engine `node` is used')
  return nodeEngine
}
