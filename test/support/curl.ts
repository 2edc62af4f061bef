// Real curl, without the environment's proxies and rc files, its answer taken apart.

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PATIENCE_MS } from './patience.ts'

export interface CurlAnswer {
  /** curl's exit code; 0 is good */
  readonly exit: number
  /** of the last answer; 0 without one */
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** what curl complained of */
  readonly complaint: string
}

/** Runs curl with these arguments; never rejects for what curl says. */
export async function curl(...args: readonly string[]): Promise<CurlAnswer> {
  const head = join(tmpdir(), `curl-${randomUUID()}`)
  const all = ['-q', '-sS', '-m', String(PATIENCE_MS / 1_000), '-D', head, ...args]
  const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', NO_PROXY: '' }
  const { exit, stdout, stderr } = await new Promise<{ exit: number; stdout: string; stderr: string }>((resolve) => {
    execFile('curl', all, { env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ exit: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
  const blocks = readHead(head)
    .split(/\r?\n\r?\n/)
    .filter((block) => block.startsWith('HTTP/'))
  await rm(head, { force: true })
  const [statusLine = '', ...fields] = (blocks.at(-1) ?? '').split(/\r?\n/)
  return {
    exit,
    status: Number(/^HTTP\/\S+ (\d{3})/.exec(statusLine)?.[1] ?? 0),
    headers: new Map(fields.map((field) => [field.replace(/:.*/s, '').toLowerCase(), field.replace(/^[^:]*:\s*/, '')])),
    body: stdout,
    complaint: stderr.trim(),
  }
}

function readHead(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
