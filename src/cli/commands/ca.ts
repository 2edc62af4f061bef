// `ca`: the certificate of the development authority, for clients that are to trust the test origins.

import { readConfigNoting } from '../ask-lab.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

interface Options {
  readonly config: string
  readonly path: boolean
}

export const registerCa: RegisterVerb = (program, { io, services, action }) => {
  withConfig(program.command('ca'))
    .description("prints the development certificate authority's certificate (PEM), making it first where missing")
    .option('--path', 'print the path of its file instead', false)
    .action(
      action(async (options: Options) => {
        const { config } = await readConfigNoting(options.config, io, services)
        const { file, pem } = await services.certificateAuthority(config)
        io.stdout.write(options.path ? `${file}\n` : pem)
        return 0
      }),
    )
}
