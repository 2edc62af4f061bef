import { expect, test } from 'vitest'
import { fileViolations } from '../../scripts/check-files.ts'
import { ROOT, sourceFiles } from '../../scripts/source-files.ts'

test('every file keeps to the house rules', () => {
  expect(fileViolations(sourceFiles())).toEqual([])
})

test.each([
  ['src/net/ip.ts', `// For.\n${'\n'.repeat(400)}`, '401 lines'],
  ['src/net/utils.ts', '// For.\n', 'a name that says nothing'],
  ['src/net/ip.ts', 'export {}\n', 'does not open by saying what it is for'],
  ['src/net/ip.ts', `// For.\n${'console'}.log(1)\n`, 'writes to the console'],
  ['src/net/ip.ts', `// For.\n// @ts-${'ignore'}\n`, 'silences a check'],
  ['bench/decide.ts', `// ${'TO'}${'DO'}: finish\n`, 'leaves something unfinished'],
  ['test/net/ip.test.ts', `test${'.only'}('x', () => {})\n`, 'leaves tests out'],
  ['src/net/ip.ts', '// For.\n/** One. */\n/** Two. */\nexport const a = 1\n', 'stacks two doc comments'],
  ['docs/start.md', `cd ${ROOT}/src`, 'names `'],
  ['package-lock.json', `{"${'resolved'}": "x"}`, 'holds download addresses'],
  ['package-lock.json', '{"packages": {"": {"dependencies": {"lost": "1"}}}}', 'has no entry for `lost`'],
])('the check sees what is wrong in %s: %j', (path, text, complaint) => {
  expect(fileViolations(new Map([[path, text]]))).toEqual([expect.stringContaining(complaint)])
})
