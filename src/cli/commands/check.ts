// `check`: is the configuration good, rules included, and does it follow the product's best practices? Shows every error,
// warning and piece of advice at once.

import { InputError, type Issue } from '../../errors/issue.ts'
import { renderIssues } from '../render/render-issues.ts'
import { type Io, paintFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, type Services, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly json?: true
}

export const registerCheck: RegisterVerb = (program, { io, services, action }) => {
  withJson(withConfig(program.command('check')))
    .description('checks configuration and rules; lists problems, warnings and best-practice advice')
    .action(
      action(async (options: Options) => {
        const issues = await issuesIn(options.config, services)
        const hasErrors = issues.some(({ severity }) => severity === 'error')
        if (options.json) writeJson(io, { valid: !hasErrors, issues })
        else if (!hasErrors) report(io, options.config, issues)
        if (!hasErrors) return 0
        if (options.json) return 2
        throw new InputError(issues)
      }),
    )
}

async function issuesIn(file: string, { readConfig, adviseOn }: Services): Promise<readonly Issue[]> {
  try {
    return await adviseOn(await readConfig(file))
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues
    throw thrown
  }
}

function report(io: Io, file: string, issues: readonly Issue[]): void {
  const paint = paintFor(io, io.stdout)
  const verdict = issues.length === 0 ? ', with nothing to advise' : ''
  io.stdout.write(`${renderIssues(issues, paint)}${paint.good('good')}: ${file}${verdict}\n`)
}
