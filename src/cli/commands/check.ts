// `check`: is the configuration good, rules included, and does it follow the product's best practices? Shows every error,
// warning and piece of advice at once.

import { InputError, type Issue } from '../../errors/issue.ts'
import { readConfig } from '../lazy-imports.ts'
import { renderIssues } from '../render/render-issues.ts'
import { type Io, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, wholeNumber, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly json?: true
  readonly prove?: true | number
}

export const registerCheck: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('check')))
    .description('checks the configuration and its rules; lists errors, warnings and best-practice advice')
    .option(
      '--prove [seconds]',
      'also prove invariants and what rules are good for, within this time (default: 30)',
      wholeNumber,
    )
    .action(
      action(async (options: Options) => {
        const issues = await issuesIn(options)
        const hasErrors = issues.some(({ severity }) => severity === 'error')
        if (options.json) writeJson(io, { valid: !hasErrors, issues })
        else if (!hasErrors) report(io, options.config, issues)
        if (!hasErrors) return 0
        if (options.json) return 2
        throw new InputError(issues)
      }),
    )
}

async function issuesIn({ config: file, prove }: Options): Promise<readonly Issue[]> {
  try {
    const { inScratch, kindOfFile, PolicyLayer } = await import('../../rules-sync/policy-config.ts')
    const { adviseOn } = await import('../../decider/advise.ts')
    if (kindOfFile(file) === 'configuration') {
      const issues = adviseOn(await readConfig(file))
      if (prove === undefined) return issues
      const { adviseByProof } = await import('../../prove/reach.ts')
      const told = issues.filter(({ code }) => code === 'practice.P6').flatMap(({ path }) => String(path?.[1] ?? ''))
      return [...issues, ...(await adviseByProof(file, new Set(told), (prove === true ? 30 : prove) * 1000))]
    }
    return await inScratch(async (folder) => {
      const layer = new PolicyLayer(file, folder)
      const issues = await layer.asOwn(async () => adviseOn(await readConfig(await layer.over())))
      // where an address is, how many there are and for whom is advice on a configuration
      const isOfPolicy = ({ code }: Issue) => !/^practice\.P[1-4]$/.test(code)
      return [...layer.issues, ...issues.filter(isOfPolicy).map((issue) => layer.ownIssue(issue))]
    })
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues
    throw thrown
  }
}

function report(io: Io, file: string, issues: readonly Issue[]): void {
  const style = stylesFor(io, io.stdout)
  const verdict = issues.length === 0 ? ', no advice' : ''
  io.stdout.write(`${renderIssues(issues, style)}${style.good('good')}: ${file}${verdict}\n`)
}
