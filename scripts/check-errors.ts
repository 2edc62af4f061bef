// docs/errors.md told the truth: every code a failed connection or change can carry stands there with its renderings, nothing else
// does, and every code is used by some source file. And a number of the API's errors and messages means one thing.

import { NOTICE_CODES, REQUEST_ERRORS, WORDED_CODES } from '../src/api/api-error.ts'
import { CONNECTION_ERRORS } from '../src/errors/catalogue.ts'
import { CHANGE_ERRORS } from '../src/errors/change-error.ts'

const CATALOGUE = ['src/errors/catalogue.ts', 'src/errors/change-error.ts']

/** One sentence per difference between the catalogue, its document and its use. */
export function errorViolations(files: ReadonlyMap<string, string>): string[] {
  return [
    ...documentViolations(files.get('docs/errors.md') ?? ''),
    ...deadCodes(files),
    ...sharedNumbers(apiNumbers()),
    ...strayNumbers(files),
  ]
}

/** The row docs/errors.md must have for each code, up to the free text. */
export function expectedRows(): Map<string, string> {
  const rows = new Map<string, string>()
  for (const [code, { http, socks, proxyStatus, close }] of Object.entries(CONNECTION_ERRORS)) {
    const reply = socks.toString(16).padStart(2, '0')
    rows.set(code, `| \`${code}\` | ${http} | ${reply} | ${proxyStatus ?? '–'} | ${close} |`)
  }
  for (const [code, { status, cloudflareCode }] of Object.entries(CHANGE_ERRORS)) {
    rows.set(code, `| \`${code}\` | ${status} | ${cloudflareCode} |`)
  }
  return rows
}

function documentViolations(document: string): string[] {
  const expected = expectedRows()
  const rows = new Map(
    document.split('\n').flatMap((line) => {
      const code = /^\| `([a-z_]+\.[a-z_]+)` \|/.exec(line)?.[1]
      return code === undefined ? [] : [[code, line] as const]
    }),
  )
  const missing = [...expected]
    .filter(([code]) => !rows.has(code))
    .map(([code, row]) => `no row for \`${code}\`; it begins \`${row}\``)
  const wrong = [...rows].flatMap(([code, line]) => {
    const row = expected.get(code)
    if (row === undefined) return [`\`${code}\` is not in the catalogue`]
    return line.startsWith(row) ? [] : [`the row of \`${code}\` must begin \`${row}\``]
  })
  return [...missing, ...wrong].map((what) => `docs/errors.md: ${what}`)
}

function deadCodes(files: ReadonlyMap<string, string>): string[] {
  const code = [...files].filter(
    ([path]) => path.startsWith('src/') && path.endsWith('.ts') && !CATALOGUE.includes(path),
  )
  const used = code.map(([, text]) => text).join('\n')
  const dead = [...expectedRows().keys()].filter((name) => !used.includes(`'${name}'`))
  return dead.map((name) => `\`${name}\` is in the catalogue and nothing in src uses it`)
}

/** Every number of an error or a message of the API, by what it means. */
export function apiNumbers(): [meaning: string, number: number][] {
  return [
    ...Object.entries(CHANGE_ERRORS).map(([name, { cloudflareCode }]): [string, number] => [name, cloudflareCode]),
    ...Object.entries(REQUEST_ERRORS).map(([name, { code }]): [string, number] => [name, code]),
    ...Object.entries(WORDED_CODES),
    ...Object.entries(NOTICE_CODES),
  ]
}

/** One sentence per number with several meanings. */
export function sharedNumbers(numbers: readonly (readonly [meaning: string, number: number])[]): string[] {
  const meanings = Map.groupBy(numbers, ([, number]) => number)
  return [...meanings].flatMap(([number, all]) =>
    all.length === 1 ? [] : [`the API's number ${number} means ${all.map(([name]) => `\`${name}\``).join(' and ')}`],
  )
}

const TABLES_OF_NUMBERS = ['src/api/api-error.ts', 'src/errors/change-error.ts']

/** Numbers that stand where they are used are in no table, so nothing tells whether they are unique. */
function strayNumbers(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, text]) => {
    if (!path.startsWith('src/') || !path.endsWith('.ts') || TABLES_OF_NUMBERS.includes(path)) return []
    return [...text.matchAll(/\b(?:code|cloudflareCode): (\d{3,})\b/g)].map(
      ([, number]) => `${path}: the API's number ${number} belongs into a table of src/api/api-error.ts`,
    )
  })
}
