// `start`: runs the lab until a signal stops it, and shows newcomers what to try.

import { flushCompileCache } from 'node:module'
import { Option } from 'commander'
import { runUntilSignal } from '../../lab/signals.ts'
import type { EngineChoice } from '../../transport/choose-engine.ts'
import { startupBanner } from '../render/startup-banner.ts'
import { stylesFor, takesColour } from '../terminal.ts'
import { DEFAULT_STATE, type RegisterVerb, withConfig, workerCount } from '../verb.ts'

const ENGINES: readonly EngineChoice[] = ['auto', 'linux', 'node']

interface Options {
  readonly config: string
  readonly state: string
  readonly ephemeral: boolean
  readonly workers?: number
  readonly engine?: EngineChoice
}

export const registerStart: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('start'))
    .description('runs the lab: proxy listeners, test origins, Gateway DNS, API and console')
    .option('--state <dir>', 'folder for run-time changes and the session log', DEFAULT_STATE)
    .option('--ephemeral', 'keep them in memory instead', false)
    .option('--workers <n>', 'worker threads (default: `workers` of the configuration)', workerCount)
    .addOption(
      new Option('--engine <name>', 'how sockets are driven (default: `engine` of the configuration)').choices(ENGINES),
    )
    .action(
      action(async ({ config: configFile, state, ephemeral, workers, engine }: Options) => {
        const { startLab } = await import('../../lab/start-lab.ts')
        const apiToken = io.env.EGRESSLAB_API_TOKEN ?? ''
        const lab = await startLab({
          configFile,
          state,
          ephemeral,
          ...(workers === undefined ? {} : { workers }),
          ...(engine === undefined ? {} : { engine }),
          ...(apiToken === '' ? {} : { apiToken }),
          sessionsTo: { form: io.stdout.isTerminal ? 'line' : 'ndjson', colour: takesColour(io, io.stdout) },
        })
        const banner = await startupBanner(lab, stylesFor(io, io.stderr))
        // before anybody can have read that it runs, and send it a signal
        const ended = runUntilSignal(lab)
        io.stderr.write(banner)
        // for the next start, whatever ends this one
        flushCompileCache()
        return ended
      }),
    )
}
