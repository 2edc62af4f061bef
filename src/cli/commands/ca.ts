// `ca`: the certificate of the development authority, for clients that are to trust the test origins.

import { readConfigWithWarnings } from '../lazy-imports.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

interface Options {
  readonly config: string
  readonly path: boolean
}

export const registerCa: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('ca'))
    .description('prints the certificate (PEM) of the development certificate authority; creates it if it is missing')
    .option('--path', 'print the path of its file instead', false)
    .action(
      action(async (options: Options) => {
        const { certificateAuthority } = await import('../../lab/certificates.ts')
        const config = await readConfigWithWarnings(options.config, io)
        const { file, pem } = await certificateAuthority(config)
        io.stdout.write(options.path ? `${file}\n` : pem)
        return 0
      }),
    )
}
