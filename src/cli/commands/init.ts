// `init`: the files a project begins with, from config/init/ of this package. A file that is there stays as it is.

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cannotWrite, makeFolder } from '../../config/files.ts'
import { ownFolder, ownVersion } from '../../config/own-package.ts'
import { errnoOf } from '../../errors/thrown.ts'
import { shellWord } from '../shell-word.ts'
import { stylesFor } from '../terminal.ts'
import type { RegisterVerb } from '../verb.ts'

/** File of config/init/ → where it goes. */
const FILES = [
  ['lab.yaml', 'lab.yaml'],
  ['egress.test.yaml', 'tests/egress.test.yaml'],
  ['egresslab.yml', '.github/workflows/egresslab.yml'],
] as const

export const registerInit: RegisterVerb = (program, { io, action }) => {
  program
    .command('init [dir]')
    .description('writes a configuration, a first policy test and a workflow file; never overwrites')
    .action(
      action(async (dir = '') => {
        const style = stylesFor(io, io.stdout)
        for (const [from, to] of FILES) {
          const file = join(dir, to)
          const template = readFileSync(join(ownFolder(), 'config', 'init', from), 'utf8')
          const isNew = writeNew(file, template.replace(/^egresslab: .*$/m, `egresslab: "${ownVersion()}"`))
          io.stdout.write(
            isNew ? `${style.good('wrote')}  ${file}\n` : `${style.dim('kept')}   ${file}, which was there\n`,
          )
        }
        const config = dir === '' ? '' : ` -c ${shellWord(join(dir, 'lab.yaml'))}`
        io.stdout.write(
          `\nnpx egresslab test ${shellWord(join(dir, 'tests'))} runs the tests, npx egresslab start${config} the lab\n`,
        )
        return 0
      }),
    )
}

/** False: there is something of that name. Throws an InputError where it cannot be written. */
function writeNew(file: string, text: string): boolean {
  try {
    makeFolder(dirname(file))
  } catch (thrown) {
    throw cannotWrite(dirname(file), thrown, 'init.not_written')
  }
  try {
    writeFileSync(file, text, { flag: 'wx' })
    return true
  } catch (thrown) {
    if (errnoOf(thrown) === 'EEXIST') return false
    throw cannotWrite(file, thrown, 'init.not_written')
  }
}
