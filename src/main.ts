// Where the process begins: runs one command line on this process's streams, and exits with its code; an
// error that nobody caught ends it with 1.

import { processIo } from './cli/process-io.ts'
import { runCli } from './cli/program.ts'

exitOnFatalErrors()
const exitCode = await runCli(process.argv.slice(2), processIo())
process.exitCode = exitCode
// everything is flushed or given up by now; a reader of standard output that stopped reading must not keep the process
if (exitCode === 130 || exitCode === 143) process.exit()

/** Makes every uncaught exception and unhandled rejection end the process with exit code 1, printed with its stack. */
function exitOnFatalErrors(): void {
  process.on('uncaughtException', exitWith)
  process.on('unhandledRejection', exitWith)
  // a file that reaches the limit of `ulimit -f` is a failed write, which its writer reports; it must not end the process
  process.on('SIGXFSZ', ignore)
}

function ignore(): void {}

function exitWith(thrown: unknown): void {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  process.stderr.write(`egresslab: exiting after an unexpected error\n${text}\n`, () => process.exit(1))
}
