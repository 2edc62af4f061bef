// The published schemas of the files that people write, each made from its one description in src. `npm run check`
// compares; `npm run check -- --write-schemas` writes them.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LAB } from '../src/config/lab-schema.ts'
import { POLICY_TESTS } from '../src/policy-tests/policy-test-schema.ts'
import { SCENARIO } from '../src/scenario/scenario-schema.ts'
import { ROOT } from './source-files.ts'

const SCHEMAS: Readonly<Record<string, unknown>> = {
  'config/lab.schema.json': LAB,
  'config/policy-test.schema.json': POLICY_TESTS,
  'scenarios/scenario.schema.json': SCENARIO,
}
const WIDTH = 120

/** One sentence per published schema that is not what its description says. */
export function schemaViolations(): string[] {
  return Object.entries(SCHEMAS).flatMap(([path, schema]) => {
    const isCurrent = readFileSync(join(ROOT, path), 'utf8') === `${printJson(schema)}\n`
    return isCurrent ? [] : [`${path}: differs from its description; run \`npm run check -- --write-schemas\``]
  })
}

/** Writes the published schemas. */
export function writeSchemas(): void {
  for (const [path, schema] of Object.entries(SCHEMAS)) writeFileSync(join(ROOT, path), `${printJson(schema)}\n`)
}

/** JSON with whatever fits into a line on one. `used`: columns that are taken before and after. */
function printJson(value: unknown, indent = '', used = 0): string {
  const line = JSON.stringify(value, null, 1).replace(/\n */g, ' ')
  if (typeof value !== 'object' || value === null || indent.length + used + line.length <= WIDTH) return line
  const isList = Array.isArray(value)
  const inner = `${indent}  `
  const parts = Object.entries(value).map(([key, part]) => {
    const name = isList ? '' : `${JSON.stringify(key)}: `
    return `${inner}${name}${printJson(part, inner, name.length + 1)}`
  })
  const [open, close] = isList ? '[]' : '{}'
  return `${open}\n${parts.join(',\n')}\n${indent}${close}`
}
