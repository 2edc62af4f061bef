// docs/api.md says exactly what is served and what is not.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { REQUEST_ERRORS } from '../../src/api/api-error.ts'
import { UNSUPPORTED, whyUnsupported } from '../../src/api/cloudflare/unsupported.ts'
import { ownRows, ROUTES, supportedRows, unsupportedRows } from '../../src/api/routes.ts'
import { CHANGE_ERRORS } from '../../src/errors/change-error.ts'
import { ACCOUNT_ID, EMEA_RULE } from '../store/lab.ts'
import { runApi } from './running-api.ts'

const api = readFileSync(join(import.meta.dirname, '../../docs/api.md'), 'utf8')
const operating = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8')

/** The rows of the table under a heading. */
function rowsUnder(heading: string): string[] {
  const section = api.slice(api.indexOf(`\n${heading}\n`) + heading.length + 2).split(/\n## /)[0] ?? ''
  return section.split('\n').filter((line) => line.startsWith('| ') && !/^\| (method|path) \|/.test(line))
}

test('docs/api.md lists every supported route of Cloudflare’s API and no other', () => {
  expect(rowsUnder("## Cloudflare's API: what is supported")).toEqual(supportedRows())
})

test('docs/api.md lists what is not supported with the reasons the API gives', () => {
  expect(rowsUnder("## Cloudflare's API: what is not supported")).toEqual(unsupportedRows())
})

test('docs/api.md lists every route of the lab’s own and no other', () => {
  expect(rowsUnder("## The lab's own API")).toEqual(ownRows())
})

test('docs/api.md lists every error code', () => {
  for (const [name, { status, cloudflareCode }] of Object.entries(CHANGE_ERRORS)) {
    expect(api).toContain(`| ${status} | ${cloudflareCode} | \`${name}\` |`)
  }
  for (const { status, code, message } of Object.values(REQUEST_ERRORS)) {
    expect(api).toContain(`| ${status} | ${code} | ${message} |`)
  }
})

test('what is unsupported says so, whatever the method, and hides no route that is there', async () => {
  const lab = await runApi()
  const concrete = (path: string) =>
    path
      .replace('{account_id}', ACCOUNT_ID)
      .replace(/\{\w+\}/g, 'x')
      .replace(/\/?\*/, '/x')
  for (const { path, reason } of UNSUPPORTED) {
    const { status, body } = await lab.ask('GET', `/client/v4${concrete(path)}`)
    expect([status, body.errors[0]?.code, body.errors[0]?.message]).toEqual([
      404,
      20100,
      expect.stringContaining(reason),
    ])
  }
  await lab.close()
  const there = ROUTES.map(({ path }) => path.replace(/\{account_id\}/, ACCOUNT_ID).replace(/\{\w+\}/g, EMEA_RULE))
  expect(there.filter((path) => whyUnsupported(path) !== undefined)).toEqual([])
})

test('every summary is one clause that fits a table', () => {
  for (const { summary } of ROUTES) expect(summary).toMatch(/^[^|\n]{5,120}$/)
})

test('docs/operating.md names every metric the lab exports', async () => {
  const lab = await runApi()
  const response = await fetch(`${lab.url}/metrics`, {
    headers: { authorization: 'Bearer a-token-for-tests-of-the-api' },
  })
  const families = [...(await response.text()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '')
  await lab.close()
  for (const name of families.filter((family) => family !== 'egresslab_info')) expect(operating).toContain(name)
})
