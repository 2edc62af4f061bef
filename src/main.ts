// Where the process begins: gives the command line its streams and the parts of the lab, and the process its exit code.
// The composition root is this file and src/main/; nothing else knows every concrete class.

import { runCli } from './cli/program.ts'
import { processIo } from './main/process-io.ts'
import { createServices } from './main/services.ts'
import { dieOfSurprises } from './main/surprises.ts'

dieOfSurprises()
const exitCode = await runCli(process.argv.slice(2), processIo(), createServices())
process.exitCode = exitCode
// everything is flushed or given up by now; a reader of standard output that stopped reading must not keep the process
if (exitCode === 130 || exitCode === 143) process.exit()
