// Where the process begins: gives the command line its streams and the parts of the lab, and the process its exit code. To be run, not
// to be imported: it runs the command line of whoever imports it.

import { dieOfSurprises, processIo } from './cli/process-io.ts'
import { runCli } from './cli/program.ts'
import { createServices } from './services.ts'

dieOfSurprises()
const exitCode = await runCli(process.argv.slice(2), processIo(), createServices())
process.exitCode = exitCode
// everything is flushed or given up by now; a reader of standard output that stopped reading must not keep the process
if (exitCode === 130 || exitCode === 143) process.exit()
