// Folders of Terraform's files for a test, as people write them.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { readPolicyFile } from '../../src/rules-sync/read-policy.ts'

/** A new one for every test. */
export let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-module-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Placeholders of HCL are written with a # in tests. */
export const placeholders = (text: string) => text.replaceAll('#{', '$' + '{')

/** Writes files and reads the folder, or a file of it. */
export function readTerraform(files: Readonly<Record<string, string>>, path = '') {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), placeholders(text))
  }
  return readPolicyFile(join(folder, path))
}

/** What is wrong with them. */
export async function problemsOf(files: Readonly<Record<string, string>>, path = '') {
  try {
    await readTerraform(files, path)
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues
    throw thrown
  }
  return []
}

/** The block of one egress rule. */
export const rule = (body: string, name = 'one', type = 'cloudflare_zero_trust_gateway_policy') => `
resource "${type}" "${name}" {
  account_id = var.account_id
  name       = "${name}"
  precedence = 1000
  enabled    = true
  action     = "egress"
  filters    = ["egress"]
  ${body}
}
`
