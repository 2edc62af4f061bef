// Makes the development certificates ahead of the first start, or with --renew throws the old ones away first. The lab
// makes them by itself when they are missing; this is for images and CI caches. Prints the authority's file.

import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config/load.ts'
import { ensureDevelopmentCertificates } from '../src/tls/development-certificates.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    config: { type: 'string', default: 'config/lab.yaml' },
    folder: { type: 'string', default: 'certs' },
    renew: { type: 'boolean', default: false },
  },
})

if (values.renew) {
  for (const name of ['ca', 'origins']) {
    for (const file of [`${name}.pem`, `${name}-key.pem`]) rmSync(`${values.folder}/${file}`, { force: true })
  }
}
const { authorityFile, made } = await ensureDevelopmentCertificates({
  folder: values.folder,
  names: positionals.length > 0 ? positionals : configuredNames(values.config),
  now: Date.now(),
})
process.stdout.write(`${authorityFile} (made: ${made})\n`)

function configuredNames(file: string): readonly string[] {
  return loadConfig(file).destinations.flatMap(({ name }) => name ?? [])
}
