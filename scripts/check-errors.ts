// docs/errors.md told the truth: every code a failed connection or change can carry stands there with its renderings, nothing else
// does, and every code is used by some source file.

import { CONNECTION_ERRORS } from '../src/errors/catalogue.ts'
import { CHANGE_ERRORS } from '../src/errors/change-error.ts'

const CATALOGUE = ['src/errors/catalogue.ts', 'src/errors/change-error.ts']

/** One sentence per difference between the catalogue, its document and its use. */
export function errorViolations(files: ReadonlyMap<string, string>): string[] {
  return [...documentViolations(files.get('docs/errors.md') ?? ''), ...deadCodes(files)]
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
