// `env`: the variables by which programs find the running lab's proxy and trust its certificates, in the syntax of a shell or file.

import { Option } from 'commander'
import { inputError } from '../../errors/issue.ts'
import { choiceOf, type ProgramOptions, runningLab, withPerson } from '../lab-for-programs.ts'
import { quoted } from '../shell-word.ts'
import type { RegisterVerb } from '../verb.ts'

type Variables = Readonly<Record<string, string>>

/** A line for each variable. */
const LINES = {
  sh: (name: string, value: string) => `export ${name}=${quoted(value)}`,
  // in single quotes only the backslash and the quote itself mean anything
  fish: (name: string, value: string) => `set -gx ${name} '${value.replaceAll(/[\\']/g, '\\$&')}'`,
  // the quotes of typographers end a text too, and each is written twice
  powershell: (name: string, value: string) => `$env:${name} = '${value.replaceAll(/['\u2018-\u201b]/g, '$&$&')}'`,
  dotenv: (name: string, value: string) => `${name}=${dotenvValue(value)}`,
} as const

const FORMATS = [...Object.keys(LINES), 'json']

export const registerEnv: RegisterVerb = (program, { io, action }) => {
  withPerson(program.command('env'))
    .description("prints the variables by which programs find the running lab's proxy and its certificates")
    .addOption(new Option('--format <format>', 'syntax to print').choices(FORMATS).default('sh'))
    .action(
      action(async (options: ProgramOptions & { readonly format: keyof typeof LINES | 'json' }) => {
        const { access } = await runningLab(options)
        io.stdout.write(printed(access.env(access.asSomebody(choiceOf(options))), options.format))
        return 0
      }),
    )
}

function printed(variables: Variables, format: keyof typeof LINES | 'json'): string {
  if (format === 'json') return `${JSON.stringify(variables, null, 2)}\n`
  return Object.entries(variables)
    .map(([name, value]) => `${LINES[format](name, value)}\n`)
    .join('')
}

/** As it is where every reader takes it so (Docker's `--env-file` knows no quotes); else in quotes in which nothing is replaced. */
function dotenvValue(value: string): string {
  if (!/[\s#'"`$\\]/.test(value)) return value
  if (!value.includes("'")) return `'${value}'`
  throw inputError('env.dotenv', 'a value with a single quote cannot be written as dotenv', {
    hint: 'choose another `--format`',
  })
}
