// docs/fleet.md, followed word for word as far as two terminals go: its certificates, its configurations, its commands and what they
// print, with ports and stand-ins of this test's own.

import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { bannerOf } from '../support/banner.ts'
import { guarded } from '../support/fleet.ts'
import { ownNetwork, ownPort } from '../support/own-network.ts'
import { PATIENT, TEST_LIMIT_MS } from '../support/patience.ts'

const DOCUMENT = readFileSync('docs/fleet.md', 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'egresslab-fleet-document-'))
const running: ChildProcess[] = []

afterAll(async () => {
  for (const child of running) {
    const gone = once(child, 'exit')
    // the shell has become the program
    if (child.kill('SIGKILL')) await gone
  }
  rmSync(folder, { recursive: true, force: true })
}, TEST_LIMIT_MS)

const OWN: readonly (readonly [string, string])[] = [
  ...['8080', '8081', '8090', '8091', '8443', '8444', '4222'].map(
    (port, at) => [`\\b${port}\\b`, String(ownPort(80 + at))] as const,
  ),
  ['127\\.21\\.0\\.0/16', ownNetwork(6)],
  ['127\\.22\\.0\\.0/16', ownNetwork(7)],
]
const ours = (text: string) => OWN.reduce((all, [theirs, own]) => all.replaceAll(new RegExp(theirs, 'g'), own), text)

const PROGRAM = `"${process.execPath}" "${join(ROOT, 'scripts', 'egresslab.mjs')}"`
const command = (line: string) =>
  ours(line)
    .replace(/^egresslab /, `${PROGRAM} `)
    .replace(
      'nats-server -js -a 127.0.0.1',
      `nats-server -js -a 127.0.0.1 -p ${ownPort(86)} -sd "${join(folder, 'js')}"`,
    )

const run = promisify(execFile)
const shell = async (line: string) => (await run('sh', ['-c', command(line)], { cwd: folder })).stdout

function blocks(kind: 'sh' | 'console'): string[][] {
  const found = DOCUMENT.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\``, 'gm'))
  return [...found].map(([, text = '']) => text.trimEnd().split('\n'))
}

function start(line: string): () => string {
  let said = ''
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
  const child = guarded('sh', ['-c', `exec ${command(line)}`], { cwd: folder, env })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  running.push(child)
  return () => said
}

test(
  'what it says to type does what it says',
  async () => {
    const [certificates = [], terminals = []] = blocks('sh')
    for (const name of ['ams', 'lhr']) {
      writeFileSync(join(folder, `${name}.yaml`), ours(readFileSync(`config/examples/fleet/${name}.yaml`, 'utf8')))
    }
    for (const line of certificates) await shell(line)
    expect(terminals).toHaveLength(3)
    const [nats = '', ...members] = terminals
    const server = start(nats)
    await vi.waitFor(() => expect(server()).toContain('Server is ready'), PATIENT)
    for (const line of members) {
      const said = start(line)
      await vi.waitFor(() => expect(said()).toContain('Try these'), PATIENT)
    }
    const [typed = []] = blocks('console')
    const told: { readonly line: string; readonly printed: string[] }[] = []
    for (const line of typed) {
      if (line.startsWith('$ ')) told.push({ line: line.slice(2), printed: [] })
      else told.at(-1)?.printed.push(line)
    }
    expect(told).toHaveLength(3)
    for (const { line, printed } of told) {
      await vi.waitFor(async () => expect((await shell(line)).trimEnd().split('\n')).toEqual(printed), PATIENT)
    }
    // "Now stop the second member, and ask again"
    running[2]?.kill('SIGTERM')
    const [first] = told
    await vi.waitFor(async () => expect(await shell(first?.line ?? '')).toBe('203.0.113.10\n'), PATIENT)
  },
  TEST_LIMIT_MS,
)

test('its configuration is that of the example, and every section it names is compared', () => {
  const [yaml = ''] = [...DOCUMENT.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text = '']) => text)
  expect(readFileSync('config/examples/fleet/ams.yaml', 'utf8')).toContain(yaml)
})

test('a lab alone loads nothing of it', async () => {
  const hook = `import { registerHooks } from 'node:module'
registerHooks({ resolve: (name, context, next) => { if (name.includes('nats')) console.error('LOADED ' + name); return next(name, context) } })`
  const url = `data:text/javascript,${encodeURIComponent(hook)}`
  const args = ['--import', url, join(ROOT, 'scripts', 'egresslab.mjs'), 'start', '--ephemeral', '--parallel']
  const child = guarded(process.execPath, [...args, '--config', join(ROOT, 'config/lab.yaml')], { cwd: folder })
  running.push(child)
  const { said } = await bannerOf(child)
  expect(said()).not.toContain('LOADED')
})
