// `shell [-- COMMAND…]`: a shell, or one command, in a network of its own where the public egress addresses are real. Needs Linux
// and no root.

import { openHostAddresses } from '../lazy-imports.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

interface Options {
  readonly config: string
  readonly shared: boolean
}

export const registerShell: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('shell [command...]'))
    .description(
      'runs a shell, or the command after `--`, in a network namespace that has the public addresses; needs no root',
    )
    .option('--shared', 'also the addresses of shared egress', false)
    .action(
      action(async (command: readonly string[], { config, shared }: Options) => {
        const host = await openHostAddresses(config)
        if (command.length === 0) {
          io.stderr.write(
            'this shell has its own network: the public addresses are real, and nothing outside is reachable; leave it with `exit`\n',
          )
        }
        return { passedOn: await host.shell(command, { shared }) }
      }),
    )
}
