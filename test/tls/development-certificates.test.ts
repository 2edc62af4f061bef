import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { ensureDevelopmentCertificates, passingLeaf } from '../../src/tls/development-certificates.ts'
import type { CertifiedKey } from '../../src/tls/issue-certificates.ts'

const DAY_MS = 86_400_000
const now = Date.now()
let folder: string

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'tls-')), 'certs')
})
afterEach(() => {
  rmSync(dirname(folder), { recursive: true })
})

const ensure = (names: readonly string[] = ['bank.saas.test'], at = now) =>
  ensureDevelopmentCertificates({ folder, names, now: at })

describe('the first start', () => {
  test('makes an authority and a leaf, keys for their owner alone', async () => {
    const certificates = await ensure()
    expect(certificates.made).toBe('authority and leaf')
    expect(readdirSync(folder).sort()).toEqual(['ca-key.pem', 'ca.pem', 'origins-key.pem', 'origins.pem'])
    expect(modeOf('ca-key.pem')).toBe(0o600)
    expect(modeOf('origins-key.pem')).toBe(0o600)
    expect(readFileSync(certificates.authorityFile, 'utf8')).toBe(certificates.authority)
  })

  test('gives certificates that curl accepts for every name and address, and for no other', async () => {
    const { leaf, authorityFile } = await ensure(['bank.saas.test', 'ipv4.icanhazip.com'])
    await using server = await serve(leaf)
    for (const name of ['bank.saas.test', 'ipv4.icanhazip.com', 'localhost', '127.0.0.1']) {
      expect(await curl(authorityFile, name, server.port)).toBe('ok')
    }
    await expect(curl(authorityFile, 'payroll.saas.test', server.port)).rejects.toMatchObject({ code: 60 })
  })

  test('of several processes at once ends in one authority for all', async () => {
    const made = await Promise.all([0, 1, 2].map(() => makeCerts()))
    expect(made.filter((line) => line.includes('authority and leaf'))).toHaveLength(1)
    expect((await ensure()).made).toBe('nothing')
  })
})

describe('a later start', () => {
  test('reads what is there', async () => {
    const first = await ensure()
    const second = await ensure()
    expect(second).toEqual({ ...first, made: 'nothing' })
  })

  test('makes a new leaf under the same authority when a name is added', async () => {
    const first = await ensure(['bank.saas.test'])
    const second = await ensure(['bank.saas.test', 'new.saas.test'])
    expect(second.made).toBe('leaf')
    expect(second.authority).toBe(first.authority)
    expect((await ensure(['bank.saas.test'])).made).toBe('nothing')
  })

  test('keeps the names it had, so that two configurations do not take turns', async () => {
    await ensure(['one.test'])
    expect((await ensure(['two.test'])).made).toBe('leaf')
    expect((await ensure(['one.test'])).made).toBe('nothing')
    expect((await ensure(['two.test'])).made).toBe('nothing')
  })

  test.each([
    ['the leaf', 336, 'leaf'],
    ['the authority', 3620, 'authority and leaf'],
  ])('makes %s anew when less than 30 days are left', async (_what, days, made) => {
    await ensure()
    expect((await ensure(undefined, now + days * DAY_MS)).made).toBe(made)
  })

  test('keeps a leaf that has more than 30 days left', async () => {
    await ensure()
    expect((await ensure(undefined, now + 333 * DAY_MS)).made).toBe('nothing')
  })

  test.each([
    ['ca.pem', 'authority and leaf'],
    ['ca-key.pem', 'authority and leaf'],
    ['origins.pem', 'leaf'],
    ['origins-key.pem', 'leaf'],
  ])('makes good for a lost or broken %s', async (file, made) => {
    await ensure()
    rmSync(join(folder, file))
    expect((await ensure()).made).toBe(made)
    writeFileSync(join(folder, file), 'not what it was')
    expect((await ensure()).made).toBe(made)
    expect((await ensure()).made).toBe('nothing')
  })

  test('does not mix a leaf with an authority that did not sign it', async () => {
    await ensure()
    const leaf = readFileSync(join(folder, 'origins.pem'))
    const key = readFileSync(join(folder, 'origins-key.pem'))
    rmSync(join(folder, 'ca.pem'))
    await ensure()
    writeFileSync(join(folder, 'origins.pem'), leaf)
    writeFileSync(join(folder, 'origins-key.pem'), key)
    expect((await ensure()).made).toBe('leaf')
  })

  test('refuses a key that other users may read and names the command that repairs it', async () => {
    await ensure()
    const key = join(folder, 'ca-key.pem')
    chmodSync(key, 0o644)
    const failure = await ensure().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(InputError)
    const [issue] = (failure as InputError).issues
    expect(issue?.message).toBe(`the private key \`${key}\` is open to other users (mode 644)`)
    expect(issue?.hint).toContain(`chmod 600 ${key}`)
    chmodSync(key, 0o600)
    expect((await ensure()).made).toBe('nothing')
  })

  test('says why when the folder cannot be made', async () => {
    const blocked = join(folder, '..', 'file')
    writeFileSync(blocked, '')
    const failure = await ensureDevelopmentCertificates({ folder: join(blocked, 'certs'), names: [], now }).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(InputError)
    expect((failure as InputError).message).toContain('certificates cannot be made')
  })
})

describe('a leaf for a name that comes and goes', () => {
  const passing = (name: string) => passingLeaf({ folder, names: [name], now })

  test('is the one in the folder if it has the name', async () => {
    const { leaf } = await ensure(['bank.saas.test'])
    expect(await passing('bank.saas.test')).toEqual(leaf)
  })

  test('is else a new one, which curl accepts for that name alone and the folder does not keep', async () => {
    const { leaf, authorityFile } = await ensure(['bank.saas.test'])
    await using server = await serve(await passing('erp.test'))
    expect(await curl(authorityFile, 'erp.test', server.port)).toBe('ok')
    await expect(curl(authorityFile, 'bank.saas.test', server.port)).rejects.toMatchObject({ code: 60 })
    expect(await ensure(['bank.saas.test'])).toMatchObject({ leaf, made: 'nothing' })
    expect((await ensure(['erp.test'])).made).toBe('leaf')
  })

  test('has an authority even where the folder has lost it', async () => {
    const { authorityFile } = await ensure()
    rmSync(authorityFile)
    await using server = await serve(await passing('erp.test'))
    expect(await curl(authorityFile, 'erp.test', server.port)).toBe('ok')
  })
})

async function serve({ key, certificate }: CertifiedKey) {
  const server = createServer({ key, cert: certificate }, (_request, response) => response.end('ok'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, [Symbol.asyncDispose]: async () => void server.close() }
}

function modeOf(file: string): number {
  return statSync(join(folder, file)).mode & 0o777
}

async function makeCerts(): Promise<string> {
  const script = ['scripts/make-certs.ts', '--folder', folder, 'bank.saas.test']
  const { stdout } = await promisify(execFile)(process.execPath, script)
  return stdout
}

async function curl(authority: string, name: string, port: number): Promise<string> {
  const resolve = /^[\d.]+$/.test(name) ? [] : ['--resolve', `${name}:${port}:127.0.0.1`]
  const { stdout } = await promisify(execFile)('curl', [
    '-sS',
    '--noproxy',
    '*',
    '--cacert',
    authority,
    ...resolve,
    `https://${name}:${port}/`,
  ])
  return stdout
}
