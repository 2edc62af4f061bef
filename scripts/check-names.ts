// One name for one thing: no two exported types of src share a name, no two files of a layer a basename, and no file's name needs its
// folder to be told from another's.

/** One sentence per name that means two things (path from the root → text). */
export function nameViolations(files: ReadonlyMap<string, string>): string[] {
  const sources = [...files].filter(([path]) => path.startsWith('src/') && path.endsWith('.ts'))
  const types = sources.flatMap(([path, text]) => exportedTypes(text).map((name) => [name, path] as const))
  const basenames = sources.map(([path]) => [basenameInLayer(path), path] as const)
  return [
    ...shared(types).map(([name, paths]) => `the type \`${name}\` is exported by ${paths.join(' and ')}`),
    ...shared(basenames)
      .filter(([name]) => !name.endsWith('/index.ts'))
      .map(([, paths]) => `${paths.join(' and ')} share a name within one layer`),
  ]
}

function exportedTypes(text: string): string[] {
  const declarations = text.matchAll(/^export (?:declare )?(?:abstract )?(?:interface|type|class) (\w+)/gm)
  return [...declarations].map(([, name = '']) => name)
}

/** `src/api/lab/colos.ts` → `api/colos.ts` */
function basenameInLayer(path: string): string {
  const [, layer = '', ...rest] = path.split('/')
  return `${layer}/${rest.at(-1) ?? ''}`
}

function shared(pairs: readonly (readonly [string, string])[]): [string, string[]][] {
  const places = new Map<string, string[]>()
  for (const [name, path] of pairs) places.set(name, [...(places.get(name) ?? []), path])
  return [...places].filter(([, paths]) => paths.length > 1)
}
