// A process that serves the API over a state on disk until it is killed; says on standard output where.

import { writeSync } from 'node:fs'
import { openJournal } from '../../src/store/sqlite-journal.ts'
import { onNotice } from '../store/lab.ts'
import { runApi } from './running-api.ts'

const [directory = ''] = process.argv.slice(2)
const { url } = await runApi({ journal: openJournal(directory, { onNotice }) })
writeSync(1, `${url}\n`)
