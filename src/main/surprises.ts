// The last line of defence: an exception nobody caught ends the process, loudly, because what state it left behind is
// not known (LC-02). State on disk is safe at any instant; a restart is quick.

/** From now on an uncaught exception or rejection is printed to standard error and the process exits with 1. */
export function dieOfSurprises(): void {
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  // a file that reaches the limit of `ulimit -f` is a failed write, which is told of, and not the end of the process
  process.on('SIGXFSZ', ignore)
}

function ignore(): void {}

function die(thrown: unknown): void {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  process.stderr.write(`egresslab: an unexpected error ends this process\n${text}\n`, () => process.exit(1))
}
