// Opens state and token in a folder, as a start does, and prints what came of it: one line of JSON. Run inside a mount namespace.

import { openStore } from '../../src/decider/open-store.ts'
import { InputError } from '../../src/errors/issue.ts'
import { openApiToken } from '../../src/store/api-token.ts'
import { openJournal } from '../../src/store/sqlite-journal.ts'
import { labConfig } from './lab.ts'

const [folder = ''] = process.argv.slice(2)
try {
  const store = openStore(labConfig(), {
    kept: { journal: openJournal(folder, { onNotice: () => {} }), folder },
    onNotice: () => {},
  })
  let token: ReturnType<typeof openApiToken>
  try {
    token = openApiToken({ directory: folder })
  } catch (thrown) {
    store.close()
    throw thrown
  }
  const { rules } = store.current().ruleset
  process.stdout.write(`${JSON.stringify({ started: true, rules: rules.length, token: token.current().length })}\n`)
  store.close()
} catch (thrown) {
  if (!(thrown instanceof InputError)) throw thrown
  process.stdout.write(`${JSON.stringify({ started: false, issues: thrown.issues })}\n`)
}
