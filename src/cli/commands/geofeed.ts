// `geofeed`: the dedicated IPs and where they are, in the form geo databases take (RFC 8805).

import { geofeed } from '../../policy/geofeed.ts'
import { readConfigNoting } from '../read-config.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

export const registerGeofeed: RegisterVerb = (program, { io, services, action }) => {
  withConfig(program.command('geofeed'))
    .description('prints the dedicated IPs as a geofeed (RFC 8805)')
    .action(
      action(async (options: { readonly config: string }) => {
        const { config } = await readConfigNoting(options.config, io, services)
        io.stdout.write(geofeed({ name: config.account.name, dedicatedIps: config.dedicatedIps }))
        return 0
      }),
    )
}
