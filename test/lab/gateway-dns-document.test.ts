// docs/gateway-dns.md followed word for word on a fresh lab: what its commands print is what they print.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installed } from '../support/installed.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const DIG = installed('dig', 'bind9-dnsutils')
const text = readFileSync('docs/gateway-dns.md', 'utf8')
const COMMANDS = [...text.matchAll(/^```console\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
  block
    .split(/^\$ /m)
    .slice(1)
    .map((entry) => [entry.slice(0, entry.indexOf('\n')), entry.slice(entry.indexOf('\n') + 1)] as const),
)

let own: PrivateLab
beforeAll(async () => {
  own = await startPrivateLab()
})
afterAll(() => own.close())

/** The document speaks of the lab that `npm start` runs. */
function here(command: string): string {
  const { listeners, dns } = own.lab
  return command
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${listeners[0]?.port}`)
    .replaceAll('-p 8053', `-p ${dns[0]?.port}`)
}

function printed(command: string): Promise<string> {
  const options = { env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent' }, timeout: PATIENCE_MS }
  return new Promise((resolve) => {
    execFile('sh', ['-c', here(command)], options, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
}

describe.skipIf(DIG === undefined)('every command prints what docs/gateway-dns.md says', () => {
  test('there are commands', () => expect(COMMANDS.length).toBeGreaterThan(5))

  test.each(COMMANDS)('%s', async (command, output) => {
    expect(await printed(command)).toBe(output)
  })
})
