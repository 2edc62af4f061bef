// What ajv makes of the schemas of files that people write. Making it takes as long as everything else a verb does, so the build
// (scripts/build.ts) makes it once, and puts the code in this module's place.

import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import type { TSchema } from 'typebox'
import { FORMATS } from './formats.ts'

/** `options` are for those who want the code rather than the function. */
export function createAjv(options: Options = {}): Ajv2020 {
  return new Ajv2020({
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
}

let ajv: Ajv2020 | undefined

/** The check of a schema; it fills defaults into what it checks. */
export function shapeCheck(schema: TSchema): ValidateFunction {
  ajv ??= createAjv()
  return ajv.compile(schema)
}
