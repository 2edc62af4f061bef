// `state export`, `import`: the whole state of a lab in one file, for keeping and for moving to another machine or version.

import type { Command } from 'commander'
import { readWholeFile } from '../../config/files.ts'
import { type Issue, inputError } from '../../errors/issue.ts'
import { errnoOf, messageOf } from '../../errors/thrown.ts'
import { writeJson } from '../terminal.ts'
import { DEFAULT_STATE, type RegisterVerb, type VerbContext, withConfig, withJson } from '../verb.ts'

interface ExportOptions {
  readonly state: string
  readonly json?: true
}

interface ImportOptions extends ExportOptions {
  readonly config: string
  readonly replace?: true
}

export const registerState: RegisterVerb = (program, context) => {
  const state = program.command('state').description('exports the state of a lab to one file and imports it again')
  registerExport(state, context)
  registerImport(state, context)
}

function registerExport(state: Command, { io, action }: VerbContext): void {
  withJson(state.command('export <file>'))
    .description('writes the state to a file that only its owner can read; the lab may be running')
    .option('--state <dir>', 'state folder of the lab', DEFAULT_STATE)
    .action(
      action(async (file: string, { state: folder, json }: ExportOptions) => {
        const [{ readContents }, { formatStateFile }, { replaceOutput }] = await Promise.all([
          import('../../store/sqlite-journal.ts'),
          import('../../store/state-file.ts'),
          import('../../config/files.ts'),
        ])
        const contents = readContents(folder)
        replaceOutput(file, formatStateFile(contents, Date.now()), 'state.export', 0o600)
        if (json) writeJson(io, summaryOf(file, contents))
        else io.stderr.write(`${file}: ${inWords(contents)}\n`)
        return 0
      }),
    )
}

function registerImport(state: Command, { io, action }: VerbContext): void {
  withConfig(withJson(state.command('import <file>')))
    .description('makes a state folder from such a file, if it fits the configuration; no lab may be using the folder')
    .option('--state <dir>', 'state folder to make', DEFAULT_STATE)
    .option('--replace', 'replace a state that is already there')
    .action(
      action(async (file: string, { state: folder, config, replace, json }: ImportOptions) => {
        const [{ writeContents }, { parseStateFile }] = await Promise.all([
          import('../../store/sqlite-journal.ts'),
          import('../../store/state-file.ts'),
        ])
        const contents = parseStateFile(textOf(file), file)
        const onNotice = ({ severity, message }: Issue) => void io.stderr.write(`${severity}: ${message}\n`)
        await checkFits(config, contents, onNotice)
        writeContents(folder, contents, { replaces: replace === true, onNotice })
        if (json) writeJson(io, summaryOf(file, contents))
        else io.stderr.write(`${folder}: ${inWords(contents)}\n`)
        return 0
      }),
    )
}

/** Throws an InputError. */
function textOf(file: string): string {
  try {
    return readWholeFile(file).toString('utf8')
  } catch (thrown) {
    const reason = errnoOf(thrown) || messageOf(thrown)
    throw inputError('state.unreadable', `cannot read \`${file}\` (${reason})`)
  }
}

type Contents = ReturnType<typeof import('../../store/state-file.ts').parseStateFile>

/** Opens the state over the configuration, in memory. Throws an InputError where they contradict each other. */
async function checkFits(
  configFile: string,
  { revision, rows }: Contents,
  onNotice: (issue: Issue) => void,
): Promise<void> {
  const [{ readConfig }, { openStore }, { memoryJournal }] = await Promise.all([
    import('../../decider/read-config.ts'),
    import('../../decider/open-store.ts'),
    import('../../store/journal.ts'),
  ])
  const journal = { ...memoryJournal(), revision, load: () => rows }
  openStore(readConfig(configFile).config, { kept: { journal, folder: 'the file' }, onNotice }).close()
}

function inWords({ revision, rows, tables }: Contents): string {
  const { token, audit, policy } = tables
  return `revision ${revision}, ${rows.length} documents, ${token.length} tokens, ${policy.length} kept revisions of the rules, ${audit.length} entries of the audit`
}

function summaryOf(file: string, { revision, rows, tables }: Contents) {
  const { token, audit, policy } = tables
  const counts = { documents: rows.length, tokens: token.length, audit: audit.length, policy_revisions: policy.length }
  return { file, revision, ...counts }
}
