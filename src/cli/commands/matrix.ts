// `matrix`: who leaves from where, and who is let in, for everybody and everywhere at once. Decides; sends no traffic.

import { Option } from 'commander'
import type { Matrix } from '../../decider/matrix.ts'
import type { MatrixQuestion } from '../../decider/matrix-question.ts'
import { openDecider } from '../lazy-imports.ts'
import { createProgressBar, type Io, stylesFor, writeJson } from '../terminal.ts'
import { DEFAULT_STATE, type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options extends Omit<MatrixQuestion, 'family'> {
  readonly config: string
  readonly state: string
  readonly family?: '4' | '6'
  readonly format: MatrixFormat
  readonly json?: true
}

const FORMATS = ['text', 'csv', 'json', 'html'] as const
type MatrixFormat = (typeof FORMATS)[number]

export const registerMatrix: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('matrix')))
    .description('shows who leaves from where: people × destinations, with egress IP, rule, and let in or refused')
    .option('--users <emails...>', 'these people only')
    .option('--groups <names...>', 'people of these groups only')
    .option('--destinations <urls...>', "URLs, hosts or host:port (default: the configuration's destinations)")
    .option('--vnets <names...>', 'virtual networks, or `all` (default: the network of each person)')
    .option('--down <codes...>', 'assume that these data centers are down; `each`: those with a dedicated IP in turn')
    .addOption(new Option('--family <family>', 'address family to use').choices(['4', '6']))
    .addOption(new Option('--format <format>', 'output format').choices(FORMATS).default('text'))
    .option('--state <dir>', 'folder with run-time changes', DEFAULT_STATE)
    .action(
      action(async (options: Options) => {
        const decider = await openDecider({ configFile: options.config, state: options.state })
        const bar = createProgressBar(io, 'deciding')
        try {
          const { createMatrix } = await import('../../decider/matrix.ts')
          const { family, ...question } = options
          const asked = family === undefined ? question : ({ ...question, family: family === '4' ? 4 : 6 } as const)
          const matrix = await createMatrix(decider, asked, bar.show)
          bar.clear()
          await print(io, matrix, options)
          return 0
        } finally {
          bar.clear()
          decider.close()
        }
      }),
    )
}

async function print(io: Io, matrix: Matrix, { format, json, config }: Options): Promise<void> {
  if (json || format === 'json') {
    writeJson(io, matrix)
    return
  }
  const { renderMatrix, renderMatrixCsv, renderMatrixHtml } = await import('../render/render-matrix.ts')
  if (format === 'csv') io.stdout.write(renderMatrixCsv(matrix))
  else if (format === 'html') io.stdout.write(renderMatrixHtml(matrix, config))
  else io.stdout.write(renderMatrix(matrix, stylesFor(io, io.stdout)))
}
