// `ca`: the certificate of the development authority, for clients that are to trust the test origins.

import { readConfigWithWarnings } from '../lazy-imports.ts'
import { DEFAULT_STATE, type RegisterVerb, withConfig } from '../verb.ts'

interface Options {
  readonly config: string
  readonly state: string
  readonly path: boolean
}

export const registerCa: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('ca'))
    .description('prints the certificate (PEM) of the development certificate authority; creates it if it is missing')
    .option('--path', 'print the path of its file instead', false)
    .option('--state <dir>', "the lab's state folder, where its certificates are", DEFAULT_STATE)
    .action(
      action(async (options: Options) => {
        const { certificatesFolder, certificatesFor } = await import('../../lab/certificates.ts')
        const config = await readConfigWithWarnings(options.config, io)
        const { authorityFile, authority } = await certificatesFor(config, certificatesFolder(options.state))
        io.stdout.write(options.path ? `${authorityFile}\n` : authority)
        return 0
      }),
    )
}
