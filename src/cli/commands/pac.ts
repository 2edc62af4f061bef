// `pac`: a proxy auto-configuration file that sends a browser through this lab.

import { writeFileSync } from 'node:fs'
import { Option } from 'commander'
import { InputError } from '../../errors/issue.ts'
import { PAC_SCHEMES, type PacScheme, writePac } from '../../inbound/pac-script.ts'
import { readConfigNoting } from '../ask-lab.ts'
import { type RegisterVerb, withConfig } from '../verb.ts'

interface Options {
  readonly config: string
  readonly listener?: string
  readonly scheme?: PacScheme
  readonly direct: readonly string[]
  readonly output?: string
}

export const registerPac: RegisterVerb = (program, { io, services, action }) => {
  withConfig(program.command('pac'))
    .description('prints a proxy auto-configuration file (PAC) for browsers; the running lab serves it at /proxy.pac')
    .option('--listener <name>', 'the listener it sends browsers to (default: the first)')
    .addOption(new Option('--scheme <scheme>', 'how browsers speak to it').choices(PAC_SCHEMES))
    .option('--direct <name>', 'a host reached without the proxy, such as *.internal.test (repeatable)', collect, [])
    .option('--output <file>', 'write it there')
    .action(
      action(async ({ config: file, listener, scheme, direct, output }: Options) => {
        const { config } = await readConfigNoting(file, io, services)
        const text = writePac({ listeners: config.listeners, api: config.api, listener, scheme, direct })
        if (output === undefined) io.stdout.write(text)
        else write(output, text)
        return 0
      }),
    )
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (thrown) {
    const message = `\`${file}\` cannot be written: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw new InputError([{ severity: 'error', code: 'pac.not_written', message }])
  }
}
