// A process that changes the state as fast as it can and says on standard output what was acknowledged; the crash
// test kills it at a random moment.

import { writeSync } from 'node:fs'
import { openJournal } from '../../src/store/sqlite-journal.ts'
import { createStore } from '../../src/store/store.ts'
import { labConfig, onNotice } from './lab.ts'

const [directory = '', round = '0'] = process.argv.slice(2)
const store = createStore(labConfig(), { journal: openJournal(directory, { onNotice }), onNotice })
for (let count = 0; ; count++) {
  const id = `r${round}-${count}`
  store.change((draft) => {
    draft.put('list', { id, name: id, type: 'IP', description: 'x'.repeat(count % 5000), items: [] })
    draft.put('list', { id: `${id}-twin`, name: id, type: 'IP', description: '', items: [] })
  })
  writeSync(1, `${store.current().revision} ${id}\n`)
}
