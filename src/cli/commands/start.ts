// `start`: runs the lab until a signal stops it, and shows newcomers what to try.

import { flushCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Option } from 'commander'
import type { EngineChoice } from '../../transport/choose-engine.ts'
import { onceIdle } from '../once-idle.ts'
import { announceReady } from '../ready-file.ts'
import { startupBanner } from '../render/startup-banner.ts'
import { runUntilSignal, serviceManager } from '../signals.ts'
import { stylesFor, takesColour } from '../terminal.ts'
import { DEFAULT_STATE, type RegisterVerb, withConfig, workerCount } from '../verb.ts'

const ENGINES: readonly EngineChoice[] = ['auto', 'linux', 'node']

interface Options {
  readonly config: string
  readonly state: string
  readonly ephemeral: boolean
  readonly workers?: number
  readonly engine?: EngineChoice
  readonly annotate?: true
  readonly parallel?: true
  readonly readyFile?: string
}

export const registerStart: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('start'))
    .description('runs the lab: proxy listeners, test origins, Gateway DNS, API and console')
    .option('--state <dir>', 'folder for run-time changes and the session log', DEFAULT_STATE)
    .option('--ephemeral', 'keep them in memory instead', false)
    .option('--workers <n>', 'worker threads (default: `workers` of the configuration)', workerCount)
    .addOption(new Option('--engine <name>', 'socket engine (default: `engine` of the configuration)').choices(ENGINES))
    .option('--annotate', 'add session, egress IP and rule as header fields to HTTP and CONNECT responses')
    .option('--parallel', 'use free ports and its own stand-ins, so that labs running side by side do not collide')
    .option(
      '--ready-file <file>',
      'write all addresses as JSON to this file once the lab listens; removed when it stops',
    )
    .action(
      action(
        async ({ config: configFile, state, ephemeral, workers, engine, annotate, parallel, readyFile }: Options) => {
          const ready = readyFile === undefined ? undefined : announceReady(readyFile)
          const [{ startLab }, { createEventLog }] = await Promise.all([
            import('../../lab/start-lab.ts'),
            import('../../log/event-log.ts'),
          ])
          const apiToken = io.env.EGRESSLAB_API_TOKEN ?? ''
          const lab = await startLab({
            configFile,
            state,
            ephemeral,
            ...(workers === undefined ? {} : { workers }),
            ...(engine === undefined ? {} : { engine }),
            ...(apiToken === '' ? {} : { apiToken }),
            ...(annotate === undefined ? {} : { annotate }),
            ...(parallel === undefined ? {} : await ownPlace()),
            events: createEventLog({ form: 'line', write: (text) => io.stderr.write(text) }),
            sessionsTo: { form: io.stdout.isTerminal ? 'line' : 'ndjson', colour: takesColour(io, io.stdout) },
          })
          let banner: string
          try {
            banner = await startupBanner(lab, stylesFor(io, io.stderr))
            ready?.write(lab)
          } catch (thrown) {
            await lab.close()
            throw thrown
          }
          // before anybody can have read that it runs, and send it a signal
          const manager = serviceManager(io)
          const ended = runUntilSignal(lab, manager).finally(() => ready?.remove())
          io.stderr.write(banner)
          await manager?.tell(
            'READY=1',
            `STATUS=proxy at ${lab.listeners.map(({ host, port }) => `${host}:${port}`).join(', ')}`,
          )
          // for the next start, whatever ends this one
          flushCompileCache()
          onceIdle(giveBackMemory)
          return ended
        },
      ),
    )
}

/** What the start left behind is a seventh of an idle lab's memory, and V8 collects it only when something else is
 *  allocated. Collecting takes 20 to 200 ms once, so it waits for a lab that has nothing to do; half a minute later V8 has
 *  returned the pages. */
function giveBackMemory(): void {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
}

/** Held until the process ends. */
async function ownPlace() {
  const { reserveLoopbackNetwork } = await import('../../lab/loopback-network.ts')
  const { network: standInNetwork } = await reserveLoopbackNetwork()
  return { portsFromZero: true, standInNetwork }
}
