// Makes the development certificates ahead of the first start, or with --renew throws the old ones away first. The lab
// makes them by itself when they are missing; this is for images and CI caches. Prints the authority's file.

import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ensureDevelopmentCertificates } from '../src/tls/development-certificates.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { folder: { type: 'string', default: 'certs' }, renew: { type: 'boolean', default: false } },
})

if (values.renew) {
  for (const name of ['ca', 'origins']) {
    for (const file of [`${name}.pem`, `${name}-key.pem`]) rmSync(`${values.folder}/${file}`, { force: true })
  }
}
const certificates = await ensureDevelopmentCertificates({ folder: values.folder, names: positionals, now: Date.now() })
process.stdout.write(`${certificates.authorityFile} (made: ${certificates.made})\n`)
