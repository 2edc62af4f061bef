// What ajv makes of the schemas of configurations, policy tests and scenarios. Making it takes as long as everything else a verb
// does, so the build (scripts/build.ts) makes it once, and puts the code in this module's place.

import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import labSchema from '../../config/lab.schema.json' with { type: 'json' }
import testSchema from '../../config/policy-test.schema.json' with { type: 'json' }
import scenarioSchema from '../../scenarios/scenario.schema.json' with { type: 'json' }
import { FORMATS } from './formats.ts'

/** Name → `$id` of the schema, or of a part of it. */
export const SHAPES = {
  lab: labSchema.$id,
  rules: `${labSchema.$id}#/$defs/rules`,
  tests: testSchema.$id,
  scenario: scenarioSchema.$id,
} as const

/** With every schema; `options` are for those who want the code rather than the function. */
export function createAjv(options: Options = {}): Ajv2020 {
  const ajv = new Ajv2020({
    allErrors: true,
    useDefaults: true,
    verbose: true,
    strict: true,
    // the schemas are our own, and a test holds them to JSON Schema; here that would take longer than everything else
    validateSchema: false,
    allowUnionTypes: true,
    formats: Object.fromEntries(Object.entries(FORMATS).map(([name, { test }]) => [name, test])),
    ...options,
  })
  return ajv.addSchema([labSchema, testSchema, scenarioSchema])
}

let ajv: Ajv2020 | undefined

/** The check of this shape; it fills defaults into what it checks. */
export function shapeCheck(shape: keyof typeof SHAPES): ValidateFunction {
  ajv ??= createAjv()
  const check = ajv.getSchema(SHAPES[shape])
  if (check === undefined) throw new RangeError(`there is no schema ${SHAPES[shape]}`)
  return check
}
