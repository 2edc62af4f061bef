// The type declarations of the library: those that can be reached from its entries, and none that needs a package which is not
// installed with it. undici's come along; a type that is made of an API schema is written out.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { ROOT } from './source-files.ts'

/** What a declaration may speak of beside our own and Node's. */
const LIBRARY = 'undici'
const IMPORTED = /(\bfrom |\bimport\()(['"])([^'"]+)\2/g

/** Writes those of `entries` (paths from the root) and of what they import into `folder`, under the same paths. */
export async function declareTypes(entries: readonly string[], folder: string): Promise<void> {
  if (entries.length === 0) return
  compile(entries, folder)
  const found = reachable(entries.map((file) => declarationOf(folder, file)))
  for (const file of found) {
    const source = relative(folder, file).replace(/\.d\.ts$/, '.ts')
    if (/^src\/api\/shapes\//.test(source)) writeFileSync(file, await writtenOut(source))
  }
  const kept = reachable(entries.map((file) => declarationOf(folder, file)))
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && !kept.has(path)) rmSync(path)
  }
  bringLibrary(kept, join(folder, LIBRARY))
}

function compile(entries: readonly string[], folder: string): void {
  const config = join(folder, 'tsconfig.json')
  const compilerOptions = { noEmit: false, declaration: true, emitDeclarationOnly: true, rootDir: ROOT, outDir: folder }
  mkdirSync(folder, { recursive: true })
  const files = entries.map((file) => join(ROOT, file))
  writeFileSync(config, JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: [], files }))
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', config], { cwd: ROOT, stdio: 'inherit' })
  rmSync(config)
  if (status !== 0) throw new Error('the type declarations could not be made')
}

function declarationOf(folder: string, file: string): string {
  return join(folder, file.replace(/\.ts$/, '.d.ts'))
}

function reachable(from: readonly string[]): ReadonlySet<string> {
  const seen = new Set(from)
  for (const file of seen) {
    for (const [, , , specifier = ''] of readFileSync(file, 'utf8').matchAll(IMPORTED)) {
      if (specifier.startsWith('.')) seen.add(resolve(dirname(file), specifier.replace(/\.ts$/, '.d.ts')))
    }
  }
  return seen
}

/** The types a module of shapes exports, from the schemas themselves. */
async function writtenOut(source: string): Promise<string> {
  const module: Readonly<Record<string, unknown>> = await import(join(ROOT, source))
  const exported = [...readFileSync(join(ROOT, source), 'utf8').matchAll(/^export type (\w+) = Shape<typeof (\w+)>$/gm)]
  const types = exported.flatMap(([, name, schema = '']) =>
    schema in module ? [`export type ${name} = ${typeText(Object(module[schema]))};`] : [],
  )
  return [
    `import type { Json } from '${'../'.repeat(source.split('/').length - 2)}config/lab-state.ts';`,
    ...types,
    '',
  ].join('\n')
}

interface JsonSchema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly JsonSchema[]
  readonly items?: JsonSchema
  readonly prefixItems?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly description?: string
}

/** As `Shape` has it: read-only through and through. */
function typeText(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' | ')
  if (schema.prefixItems !== undefined) return `readonly [${schema.prefixItems.map(typeText).join(', ')}]`
  switch (schema.type) {
    case 'array':
      return `readonly (${typeText(schema.items ?? {})})[]`
    case 'object':
      return objectText(schema)
    case 'integer':
      return 'number'
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return schema.type
    default:
      return 'Json'
  }
}

function objectText({ properties, patternProperties, required = [] }: JsonSchema): string {
  if (properties === undefined) {
    const [values] = Object.values(patternProperties ?? {})
    return `{ readonly [key: string]: ${values === undefined ? 'Json' : typeText(values)} }`
  }
  const members = Object.entries(properties).map(([name, schema]) => {
    const about = schema.description === undefined ? '' : `/** ${schema.description} */ `
    return `${about}readonly ${name}${required.includes(name) ? '' : '?'}: ${typeText(schema)}`
  })
  return `{ ${members.join('; ')} }`
}

/** The library is bundled, so whoever reads the declarations does not have it. Throws for a declaration that needs any other. */
function bringLibrary(declarations: Iterable<string>, folder: string): void {
  for (const file of declarations) {
    const text = readFileSync(file, 'utf8')
      .replaceAll(/^import ['"][^'"]+['"];\n/gm, '')
      .replaceAll(IMPORTED, (all, word: string, quote: string, specifier: string) => {
        if (specifier.startsWith('.') || specifier.startsWith('node:')) return all
        if (specifier !== LIBRARY) throw new Error(`${file} needs the types of \`${specifier}\``)
        return `${word}${quote}${relative(dirname(file), join(folder, 'index.js'))}${quote}`
      })
    writeFileSync(file, text)
  }
  const source = join(ROOT, 'node_modules', LIBRARY)
  cpSync(join(source, 'types'), join(folder, 'types'), { recursive: true })
  cpSync(join(source, 'index.d.ts'), join(folder, 'index.d.ts'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n')
}
