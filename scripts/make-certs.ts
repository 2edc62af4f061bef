// Makes the development certificates ahead of the first start, or with --renew throws the old ones away first. The lab
// makes them by itself when they are missing; this is for images and CI caches. Prints the authority's file. With --client,
// makes a client's certificate for that mail address and prints its file.

import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config/load.ts'
import {
  certificateFile,
  ensureDevelopmentCertificates,
  readKeyPair,
  writeKeyPair,
} from '../src/tls/development-certificates.ts'
import { issueClientCertificate } from '../src/tls/issue-certificates.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    config: { type: 'string', default: 'config/lab.yaml' },
    folder: { type: 'string', default: 'certs' },
    renew: { type: 'boolean', default: false },
    client: { type: 'string' },
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
if (values.client === undefined) process.stdout.write(`${authorityFile} (made: ${made})\n`)
else process.stdout.write(`${await makeClient(values.client)}\n`)

async function makeClient(email: string): Promise<string> {
  const authority = readKeyPair(values.folder, 'ca')
  if (authority === undefined) throw new Error(`there is no authority in ${values.folder}`)
  writeKeyPair(values.folder, email, await issueClientCertificate(authority, email, Date.now()))
  return certificateFile(values.folder, email)
}

function configuredNames(file: string): readonly string[] {
  return loadConfig(file).destinations.flatMap(({ name }) => name ?? [])
}
