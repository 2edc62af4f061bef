import { expect, test } from 'vitest'
import { apiNumbers, errorViolations, sharedNumbers } from '../../scripts/check-errors.ts'
import { sourceFiles } from '../../scripts/source-files.ts'

const files = sourceFiles()

test('docs/errors.md lists every code with its renderings, and every code is used', () => {
  expect(errorViolations(files)).toEqual([])
})

test('the check sees a missing row, a wrong row, an unknown code and a dead code', () => {
  const document = (files.get('docs/errors.md') ?? '')
    .replace(/^\| `dial.refused`.*\n/m, '')
    .replace('| `dial.timeout` | 504 |', '| `dial.timeout` | 502 |')
  const planted = new Map([...files, ['docs/errors.md', `${document}\n| \`dial.lost\` | 500 |\n`]])
  for (const [path, text] of files) {
    if (path.startsWith('src/')) planted.set(path, text.replaceAll("'guard.loop'", "'guard.other'"))
  }
  expect(errorViolations(planted)).toEqual([
    expect.stringContaining('no row for `dial.refused`'),
    expect.stringContaining('the row of `dial.timeout` must begin'),
    expect.stringContaining('`dial.lost` is not in the catalogue'),
    expect.stringContaining('`guard.loop` is in the catalogue and nothing in src uses it'),
  ])
})

test("a number of the API's errors means one thing, and the check sees one that means two or stands in no table", () => {
  expect(sharedNumbers([...apiNumbers(), ['moved', 20102]])).toEqual([
    "the API's number 20102 means `invalidJson` and `moved`",
  ])
  const planted = new Map([...files, ['src/api/lab/moved.ts', '// Moved.\nconst notice = { code: 20204 }\n']])
  expect(errorViolations(planted)).toEqual([
    "src/api/lab/moved.ts: the API's number 20204 belongs into a table of src/api/api-error.ts",
  ])
})
