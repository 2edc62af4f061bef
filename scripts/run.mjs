// Runs one of this project's own scripts the way `egresslab` runs a verb: `node scripts/run.mjs scripts/check.ts …`.

import { run } from './bootstrap.mjs'

const [file, ...args] = process.argv.slice(2)
await run(file, args)
