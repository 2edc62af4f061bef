// `geofeed`: the dedicated IPs and where they are, in the form geo databases take (RFC 8805).

import { formatGeofeed } from '../../analysis/geofeed.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

export const registerGeofeed: RegisterVerb = (program, { io, services, action }) => {
  withConfig(program.command('geofeed'))
    .description('prints the dedicated IPs as a geofeed (RFC 8805)')
    .action(
      action(async (options: { readonly config: string }) => {
        const desk = await services.openDesk({ configFile: options.config })
        io.stdout.write(formatGeofeed(desk.snapshot.account))
        desk.close()
        return 0
      }),
    )
}
