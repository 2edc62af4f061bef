// A test run as a JUnit XML report, which CI services read. Accepts any text: characters that XML cannot represent
// become U+FFFD.

import type { CaseResult, Difference } from './policy-test.ts'

/** The parts of a case that a report shows; one without differences says in one line why it failed. */
type ReportedCase = Pick<CaseResult<unknown>, 'name' | 'file' | 'line' | 'passed' | 'durationMs'> &
  (Pick<CaseResult<unknown>, 'differences'> | { readonly message: string })

/** The report as XML text. `detailOf` returns plain text for the reader of a failed case. */
export function junitReport<C extends ReportedCase>(
  run: { readonly files: readonly { readonly file: string; readonly cases: readonly C[] }[] },
  detailOf: (failed: C) => string,
  name = 'egresslab test',
): string {
  const suites = run.files.map(({ file, cases }) => {
    const body = cases.map((each) => testCase(each, file, detailOf))
    return `  <testsuite name="${escaped(file)}" ${counts(cases)}>\n${body.join('')}  </testsuite>\n`
  })
  const all = run.files.flatMap(({ cases }) => cases)
  const root = `<testsuites name="${name}" ${counts(all)}>\n${suites.join('')}</testsuites>\n`
  return `<?xml version="1.0" encoding="UTF-8"?>\n${root}`
}

/** `rule: expected A, found B`, one after the other. */
export function differencesInWords(differences: readonly Difference[]): string {
  return differences.map(({ what, expected, found }) => `${what}: expected ${expected}, found ${found}`).join('; ')
}

function counts(cases: readonly ReportedCase[]): string {
  const failures = cases.filter(({ passed }) => !passed).length
  const seconds = cases.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000
  return `tests="${cases.length}" failures="${failures}" errors="0" skipped="0" time="${seconds.toFixed(6)}"`
}

function testCase<C extends ReportedCase>(result: C, file: string, detailOf: (failed: C) => string) {
  const { name, line, passed, durationMs } = result
  const time = (durationMs / 1000).toFixed(6)
  const place = `classname="${escaped(file)}" file="${escaped(file)}" line="${line}"`
  const head = `    <testcase name="${escaped(name)}" ${place} time="${time}"`
  if (passed) return `${head}/>\n`
  const [type, message] =
    'message' in result ? ['finding', result.message] : ['difference', differencesInWords(result.differences)]
  const failure = `<failure type="${type}" message="${escaped(message)}">${escaped(detailOf(result))}</failure>`
  return `${head}>\n      ${failure}\n    </testcase>\n`
}

const NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

/** Text escaped for an attribute or an element. Characters outside XML 1.0 (section 2.2) cannot be escaped, so they
 *  are replaced. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}')
    .replace(/[&<>"']/g, (character) => NAMES[character] ?? character)
}
