// Errors that nobody caught: the process says so on standard error and exits with 1.

/** Makes every uncaught exception and unhandled rejection end the process with exit code 1, printed with its stack. */
export function exitOnFatalErrors(): void {
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
