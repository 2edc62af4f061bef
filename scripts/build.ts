// `npm run build`: what the package runs and a checkout does not need. dist/ gets JavaScript with every library in it, the
// library's type declarations and the licences of what was bundled; console/dist the console. `npm pack` does it first.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { _ } from 'ajv/dist/2020.js'
import standalone from 'ajv/dist/standalone/index.js'
import { type OutputChunk, type Plugin, rolldown } from 'rolldown'
import { RULE_LIST } from '../src/config/account-schema.ts'
import { DESTINATION, LAB } from '../src/config/lab-schema.ts'
import { INVARIANT_LIST } from '../src/config/read-invariants.ts'
import { createAjv } from '../src/config/shape-checks.ts'
import { POLICY_TESTS } from '../src/policy-tests/policy-test-schema.ts'
import { SCENARIO } from '../src/scenario/scenario-schema.ts'
import { buildConsole } from './build-console.mjs'
import { declareTypes } from './declare-types.ts'
import { ROOT } from './source-files.ts'

const DIST = join(ROOT, 'dist')

/** The command, and the entries of `exports` in package.json. */
const ENTRIES = { main: 'src/main.ts', index: 'src/library/index.ts', policy: 'src/library/policy.ts' } as const

const here = (file: string) => join(ROOT, file)
const { default: standaloneCode } = standalone

rmSync(DIST, { recursive: true, force: true })
const problem = buildConsole(process.execPath)
if (problem !== undefined) throw new Error(`the console could not be built:\n${problem}`)
/** the modules of WebAssembly that were put beside the chunks */
const webAssembly: string[] = []
const chunks = await bundle()
writeFileSync(
  join(DIST, 'THIRD-PARTY.md'),
  thirdParty([...chunks.flatMap(({ moduleIds }) => moduleIds), ...webAssembly]),
)
await declareTypes(
  [ENTRIES.index, ENTRIES.policy].filter((file) => existsSync(here(file))),
  join(DIST, 'types'),
)

/** One folder, no hashes in names: the compile cache goes by names, and must not grow with every version. */
async function bundle(): Promise<readonly OutputChunk[]> {
  const entries = Object.entries(ENTRIES).filter(([, file]) => existsSync(here(file)))
  const build = await rolldown({
    input: Object.fromEntries(entries.map(([name, file]) => [name, here(file)])),
    platform: 'node',
    external: ['bufferutil', 'utf-8-validate', 'z3-solver'],
    plugins: [
      modulesOfTheirOwn(),
      webAssemblyBeside(),
      checksMadeBefore(),
      builtinsAsTheyAre(),
      requireWhereThereIsNode(),
    ],
    onLog: (level, log, report) => {
      if (log.code !== 'EVAL') report(level === 'warn' ? 'error' : level, log)
    },
  })
  const { output } = await build.write({
    dir: DIST,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunk-[name].js',
    // not minified: Node shows the line of an error that nobody caught
    minify: false,
    comments: { legal: false, jsdoc: false, annotation: true },
  })
  await build.close()
  return output.filter((each) => each.type === 'chunk')
}

/** `new URL('./x.ts', import.meta.url)` names what a worker thread or a process runs: a file of its own beside the others. */
function modulesOfTheirOwn(): Plugin {
  const known = new Map<string, string>()
  return {
    name: 'modules-of-their-own',
    transform(code, id) {
      if (!code.includes('import.meta.url')) return null
      return code.replaceAll(/new URL\('(\.\/[\w/-]+)\.ts', import\.meta\.url\)/g, (_all, specifier: string) => {
        const file = resolve(dirname(id), `${specifier}.ts`)
        const name = basename(specifier)
        if ((known.get(name) ?? file) !== file) throw new Error(`two modules of their own are named ${name}`)
        if (!known.has(name)) this.emitFile({ type: 'chunk', id: file, fileName: `${name}.js` })
        known.set(name, file)
        return `new URL('./${name}.js', import.meta.url)`
      })
    },
  }
}

/** WebAssembly is a file at run time: what is named by `import.meta.resolve('….wasm')` or beside the module that loads it is put into
 *  dist/, and found there. */
function webAssemblyBeside(): Plugin {
  const NAMED = /import\.meta\.resolve\('([^']+\.wasm)'\)|new URL\("([\w-]+\.wasm)", import\.meta\.url\)\.href/g
  return {
    name: 'web-assembly-beside',
    transform(code, id) {
      if (!code.includes('.wasm')) return null
      return code.replaceAll(NAMED, (_all, specifier: string | undefined, beside: string | undefined) => {
        const file =
          beside === undefined ? fileURLToPath(import.meta.resolve(specifier ?? '')) : join(dirname(id), beside)
        if (!webAssembly.includes(file)) {
          webAssembly.push(file)
          this.emitFile({ type: 'asset', fileName: basename(file), source: readFileSync(file) })
        }
        return `new URL('./${basename(file)}', import.meta.url).href`
      })
    },
  }
}

/** The code that ajv makes of the schemas when it is asked to, in place of the module that asks. */
function checksMadeBefore(): Plugin {
  const module = here('src/config/shape-checks.ts')
  const schemas = Object.entries({ LAB, RULE_LIST, POLICY_TESTS, SCENARIO, DESTINATION, INVARIANT_LIST })
  const nameOf = (schema: object) => Object(schema).title ?? Object(schema).description
  return {
    name: 'checks-made-before',
    load(id) {
      if (id !== module) return null
      const ajv = createAjv({ code: { source: true, esm: true, formats: _`formats` } })
      for (const [key, schema] of schemas) ajv.addSchema(schema, key)
      const checks = schemas.map(([key, schema]) => `[${JSON.stringify(nameOf(schema))}, ${key}]`)
      return [
        "import { FORMATS } from './formats.ts'",
        'const formats = Object.fromEntries(Object.entries(FORMATS).map(([name, { test }]) => [name, test]))',
        standaloneCode(ajv, Object.fromEntries(schemas.map(([key]) => [key, key]))),
        `const checks = new Map([${checks.join(', ')}])`,
        `const nameOf = ${nameOf}`,
        'export const shapeCheck = (schema) => checks.get(nameOf(schema)) ?? unknown(nameOf(schema))',
        "const unknown = (name) => { throw new Error('the build made no check of the schema ' + name) }",
      ].join('\n')
    },
  }
}

/** Node reads every property of a module of its own that is imported; these load much for some of them that nobody wants:
 *  `http` has WebSocket, for which it loads its own undici. */
function builtinsAsTheyAre(): Plugin {
  const prefix = '\0as-it-is:'
  return {
    name: 'builtins-as-they-are',
    resolveId: (source, _importer, { kind }) =>
      kind === 'import-statement' && ['node:http', 'node:fs'].includes(source) ? prefix + source : null,
    load(id) {
      if (!id.startsWith(prefix)) return null
      const name = id.slice(prefix.length)
      const properties = Object.entries(Object.getOwnPropertyDescriptors(process.getBuiltinModule(name)))
      const plain = properties.filter(([, { get }]) => get === undefined).map(([property]) => property)
      return `const it = process.getBuiltinModule('${name}')\nexport const { ${plain.join(', ')} } = it\nexport default it`
    },
  }
}

/** What the licences of the bundled libraries ask for: each in full. */
function thirdParty(files: readonly string[]): string {
  const folders = new Set(files.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id) ?? []))
  const sections = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const file = readdirSync(folder).find((each) => /^(licen[cs]e|copying)/i.test(each))
    const text = file === undefined ? `Licence: ${license}` : readFileSync(join(folder, file), 'utf8').trim()
    return `## ${name} ${version}\n\n\`\`\`text\n${text}\n\`\`\`\n`
  })
  return ['# Libraries in this folder\n', ...sections].join('\n')
}

/** Keeps the runtime of the bundle usable where there is no Node: `policy.js` runs in a browser. */
function requireWhereThereIsNode(): Plugin {
  return {
    name: 'require-where-there-is-node',
    renderChunk(code, { name }) {
      if (name !== 'rolldown-runtime') return null
      const lazy = code
        .replace(/import\s*\{\s*createRequire\s*\}\s*from\s*["']node:module["'];?/, '')
        .replace(/\bcreateRequire\(/, "globalThis.process?.getBuiltinModule?.('node:module').createRequire(")
      if (!lazy.includes('getBuiltinModule') || /from\s*["']node:/.test(lazy))
        throw new Error('the runtime has changed')
      return lazy
    },
  }
}
