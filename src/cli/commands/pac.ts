// `pac`: a proxy auto-configuration file that sends a browser through this lab.

import { Option } from 'commander'
import { writeOutput } from '../../config/files.ts'
import { PAC_SCHEMES, type PacScheme, writePac } from '../../inbound/pac-script.ts'
import { readConfigWithWarnings } from '../lazy-imports.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

interface Options {
  readonly config: string
  readonly listener?: string
  readonly scheme?: PacScheme
  readonly direct: readonly string[]
  readonly output?: string
}

export const registerPac: RegisterVerb = (program, { io, action }) => {
  withConfig(program.command('pac'))
    .description('prints a proxy auto-configuration file (PAC) for browsers; the running lab serves it at /proxy.pac')
    .option('--listener <name>', 'listener that browsers connect to (default: one with a sign-in page, else the first)')
    .addOption(new Option('--scheme <scheme>', 'protocol between browser and proxy').choices(PAC_SCHEMES))
    .option('--direct <name>', 'a host reached without the proxy, such as *.internal.test (repeatable)', collect, [])
    .option('--output <file>', 'write to this file')
    .action(
      action(async ({ config: file, listener, scheme, direct, output }: Options) => {
        const config = await readConfigWithWarnings(file, io)
        const text = writePac({ listeners: config.listeners, api: config.api, listener, scheme, direct })
        if (output === undefined) io.stdout.write(text)
        else writeOutput(output, text, 'pac.not_written')
        return 0
      }),
    )
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
