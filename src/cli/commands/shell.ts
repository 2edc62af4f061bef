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
      'runs a shell, or a command behind `--`, in a network of its own that has the public addresses; no root',
    )
    .option('--shared', 'the addresses of shared egress, too', false)
    .action(
      action(async (command: readonly string[], { config, shared }: Options) => {
        const host = await openHostAddresses(config)
        if (command.length === 0) {
          io.stderr.write(
            'a network of its own: the public addresses are real here, nothing beyond is reached; `exit` leaves it\n',
          )
        }
        return { passedOn: await host.shell(command, { shared }) }
      }),
    )
}
