// Which engine carries the connections of this thread. The only place that knows them by name.

import type { Engine, EngineName } from './engine.ts'
import { type LinuxEngine, openLinuxEngine } from './linux/linux-engine.ts'
import { nodeEngine } from './node/node-engine.ts'
import { NodeStream } from './node/node-stream.ts'

/** As configured: `auto` takes the best that works here. */
export type EngineChoice = 'auto' | EngineName

/** The engine of this thread, made once; or why it cannot be had. */
let opened: LinuxEngine | string | undefined

/** `warn` is told in one line why `linux` is not used where it was asked for, or where this is Linux and it could have been expected. */
export function chooseEngine(choice: EngineChoice, warn: (message: string) => void): Engine {
  if (choice === 'node') return nodeEngine
  opened ??= openLinuxEngine((socket, options) => new NodeStream(socket, options))
  if (typeof opened !== 'string') return opened
  const isUnexpected = choice === 'linux' || process.platform === 'linux'
  if (isUnexpected) warn(`the engine \`linux\` cannot be used: ${opened}; the engine \`node\` is used`)
  return nodeEngine
}
