// Hashes a password for `password_hash:` in the configuration. Reads it from standard input, so that it is in no process
// list and no shell history; a line end behind it is not part of it.

import { text } from 'node:stream/consumers'
import { formatPasswordHash, hashPassword } from '../src/identity/password.ts'

const password = (await text(process.stdin)).replace(/\r?\n$/, '')
if (password === '') {
  process.stderr.write(
    'give the password on standard input: echo secret | node scripts/run.mjs scripts/hash-password.ts\n',
  )
  process.exitCode = 2
} else {
  process.stdout.write(`${formatPasswordHash(await hashPassword(password))}\n`)
}
