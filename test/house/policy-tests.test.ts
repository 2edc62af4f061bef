// The policy tests that are shipped: every configuration has some, they hold, and they leave no rule out.

import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { coveredPercent } from '../../src/analysis/policy-test.ts'
import { runPolicyTests } from '../../src/policy-tests/run-policy-tests.ts'

const yamlIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.yaml'))
const CONFIGURATIONS = [
  'config/lab.yaml',
  ...['examples', 'tour'].flatMap((kind) => yamlIn(`config/${kind}`).map((name) => `config/${kind}/${name}`)),
]

test('every shipped configuration has policy tests, all of them hold, and together they cover every rule', async () => {
  const run = await runPolicyTests(['config/tests'])
  const failed = run.files.flatMap(({ cases }) =>
    cases.filter(({ passed }) => !passed).map(({ name, differences }) => ({ name, differences })),
  )
  expect(failed).toEqual([])
  expect(run.files.map(({ config }) => config).sort()).toEqual(CONFIGURATIONS.toSorted())
  for (const { config, rules } of run.coverage)
    expect({ config, percent: coveredPercent(rules) }).toEqual({ config, percent: 100 })
})

test('every shipped test file names the schema for editors, and fits it', () => {
  const schema = JSON.parse(readFileSync('config/policy-test.schema.json', 'utf8'))
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false }).compile(schema)
  const files = readdirSync('config/tests', { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.test.yaml'))
  expect(files.length).toBe(CONFIGURATIONS.length)
  for (const file of files) {
    const text = readFileSync(`config/tests/${file}`, 'utf8')
    expect(text).toMatch(/^# yaml-language-server: \$schema=(\.\.\/)+policy-test\.schema\.json\n/)
    expect({ file, valid: validate(parse(text)) }).toEqual({ file, valid: true })
  }
})
