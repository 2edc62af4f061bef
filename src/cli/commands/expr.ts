// `expr`: the expression language alone. One JSON request per line in, one verdict per line out, in order, as they come.

import { type EvaluateResult, evaluateOne, type Mode, parseRequest } from '../../expression/index.ts'
import { GATEWAY_SCHEME } from '../../policy/fields.ts'
import { linesOf } from '../terminal.ts'
import { modeOption, type RegisterVerb } from '../verb.ts'

/** Output is handed over in pieces of about this many characters while input keeps coming. */
const PIECE = 65_536

export const registerExpr: RegisterVerb = (program, { io, action }) => {
  program
    .command('expr')
    .description('evaluates expressions: NDJSON {"id","expr","facts","lists"} in, one result per line out')
    .addOption(modeOption())
    .action(
      action(async ({ mode }: { readonly mode: Mode }) => {
        let allReadable = true
        let out = ''
        for await (const { line, isLast } of linesOf(io.stdin)) {
          if (line.trim() !== '') {
            const request = parseRequest(line)
            allReadable &&= request !== undefined
            out += `${toLine(request === undefined ? MALFORMED : evaluateOne(request, GATEWAY_SCHEME, { mode }))}\n`
          }
          if (!isLast && out.length < PIECE) continue
          io.stdout.write(out)
          out = ''
          await io.stdout.drained()
        }
        io.stdout.write(out)
        return allReadable ? 0 : 2
      }),
    )
}

const MALFORMED: EvaluateResult = {
  valid: false,
  error: { code: 'request.malformed', message: 'the line is not a JSON object with a string `expr`' },
  errors: [{ code: 'request.malformed', message: 'the line is not a JSON object with a string `expr`' }],
}

/** An id beyond 2^53 comes back as text, digit for digit. */
function toLine(result: EvaluateResult): string {
  return JSON.stringify(result, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}
