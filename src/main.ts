// Where the process begins: runs one command line on this process's streams, and exits with its code.

import { exitOnFatalErrors } from './cli/fatal-errors.ts'
import { processIo } from './cli/process-io.ts'
import { runCli } from './cli/program.ts'

exitOnFatalErrors()
const exitCode = await runCli(process.argv.slice(2), processIo())
process.exitCode = exitCode
// everything is flushed or given up by now; a reader of standard output that stopped reading must not keep the process
if (exitCode === 130 || exitCode === 143) process.exit()
