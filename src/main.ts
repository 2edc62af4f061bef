// Where the process begins: gives the command line its streams and the parts of the lab, and the process its exit code.
// The composition root is this file and src/lab/start-lab.ts; nothing else knows every concrete class.

import { once } from 'node:events'
import type { WriteStream } from 'node:tty'
import { runCli } from './cli/program.ts'
import type { Io, TerminalOutput } from './cli/terminal.ts'
import type { Services } from './cli/verb.ts'
import { watchStopSignal } from './lab/signals.ts'
import { ownVersion } from './lab/start-lab.ts'

dieOfSurprises()
const exitCode = await runCli(process.argv.slice(2), processIo(), createServices())
process.exitCode = exitCode
// everything is flushed or given up by now; a reader of standard output that stopped reading must not keep the process
if (exitCode === 130 || exitCode === 143) process.exit()

export function createServices(): Services {
  return {
    version: ownVersion(),
    readConfig: async (file) => (await import('./decider/read-config.ts')).readConfig(file),
    adviseOn: async (read) => (await import('./decider/advise.ts')).adviseOn(read),
    openDesk: async (options) => (await import('./decider/decider.ts')).openDecider(options),
    startLab: async (options) => (await import('./lab/start-lab.ts')).startLab({ ...options, ...givenToken() }),
    runUntilSignal: async (lab) => (await import('./lab/signals.ts')).runUntilSignal(lab),
    certificateAuthority: async (config) => (await import('./lab/certificates.ts')).certificateAuthority(config),
    benchProxy: async (request) => (await import('./load-test/bench-proxy.ts')).benchProxyOn(request),
    benchDecide: async (request) => (await import('./load-test/bench-decide.ts')).benchDecideOn(request),
    policyTester: async () => (await import('./policy-tests/run-policy-tests.ts')).createPolicyTester(),
    scenarioDesk: async () => (await import('./scenario/run-scenarios.ts')).createScenarioRunner(),
    connectLab: async (options) => (await import('./lab/lab-client.ts')).connectLab(options),
    addressDesk: async (configFile) =>
      (await import('./host-addresses/host-addresses.ts')).openHostAddresses(configFile),
    rulesDesk: async () => (await import('./rules-sync/rules-sync.ts')).createRulesSync(),
    sessionLine: async () => (await import('./log/session-line.ts')).sessionLine,
    stopSignal: watchStopSignal,
    replay: async (request) => (await import('./replay/replay.ts')).replay(request),
    askThroughProxy: async (request) => (await import('./decider/verify-egress.ts')).askThroughProxy(request),
  }
}

function givenToken(): { apiToken?: string } {
  const apiToken = process.env.EGRESSLAB_API_TOKEN
  return apiToken === undefined || apiToken === '' ? {} : { apiToken }
}

/** A reader of standard output that went away (`| head -1`) ends a verb quietly; it must not end a running lab, which
 *  therefore writes its sessions through a queue of its own (RS-08). */
export function processIo(): Io {
  process.stdin.setEncoding('utf8')
  return {
    stdin: process.stdin,
    stdout: output(process.stdout),
    stderr: output(process.stderr),
    env: process.env,
  }
}

function output(stream: WriteStream): TerminalOutput {
  let isGone = false
  const gone = new Promise<void>((resolve) => {
    stream.on('error', () => {
      isGone = true
      process.stdin.destroy()
      resolve()
    })
  })
  return {
    gone,
    write: (text) => {
      if (!isGone) stream.write(text)
    },
    drained: async () => {
      if (!isGone && stream.writableNeedDrain) await Promise.race([once(stream, 'drain'), once(stream, 'close')])
    },
    isTerminal: stream.isTTY === true,
    columns: stream.columns ?? 80,
  }
}

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
