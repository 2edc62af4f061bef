#!/usr/bin/env node
// The command `egresslab` of a checkout: sets up what is missing, then hands every argument to src/main.ts.

import { run } from './bootstrap.mjs'

await run('src/main.ts', process.argv.slice(2))
