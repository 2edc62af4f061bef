// `geofeed`: the dedicated IPs and where they are, in the form geo databases take (RFC 8805).

import { formatGeofeed } from '../../analysis/geofeed.ts'
import { openDecider } from '../lazy-imports.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

export const registerGeofeed: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('geofeed'))
    .description('prints the dedicated IPs as a geofeed (RFC 8805)')
    .action(
      action(async (options: { readonly config: string }) => {
        const decider = await openDecider({ configFile: options.config })
        io.stdout.write(formatGeofeed(decider.snapshot.account))
        decider.close()
        return 0
      }),
    )
}
