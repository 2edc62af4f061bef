// The import arrow of CONTRIBUTING.md, enforced: a module imports only from its left, adapters never from each other,
// and the pure folders touch neither Node nor any library but the named ones.

/** Left to right; the names of one line are siblings. */
export const LAYERS: readonly (readonly string[])[] = [
  ['net'],
  ['errors'],
  ['http1', 'http2', 'transport'],
  ['expression'],
  ['policy'],
  ['analysis'],
  ['proxy'],
  ['config'],
  ['inbound', 'identity', 'dns', 'outbound', 'geo', 'tls', 'log', 'origins', 'store'],
  ['decider'],
  ['fleet'],
  ['prove'],
  ['api'],
  ['lab'],
  ['library', 'policy-tests', 'scenario', 'replay', 'rules-sync', 'host-addresses', 'load-test'],
  ['cli'],
  ['main'],
]
const PURE = new Set(['net', 'errors', 'http1', 'http2', 'expression', 'policy'])
/** Pure although their room is not: an entry of the package that browsers take. */
const PURE_FILES = new Set(['src/library/policy.ts'])
const PURE_LIBRARIES = new Set(['ipaddr.js'])
/** What would make a pure module depend on when or where it runs. */
const IMPURE =
  /\b(process\.|console\.|Date\.now|new Date\(\)|Math\.random|performance\.|crypto\.|setTimeout|setInterval)/

/** One sentence per wrong import in these files (path from the root → text). */
export function arrowViolations(files: ReadonlyMap<string, string>): string[] {
  const sources = [...files].filter(([path]) => path.startsWith('src/') && path.endsWith('.ts'))
  return sources.flatMap(([path, text]) => {
    const layer = layerOf(path)
    if (rank(layer) < 0) return [`${path}: \`${layer}\` has no place in the arrow`]
    const wrong = importsOf(text).flatMap((specifier) => importViolation(path, layer, specifier))
    return isPure(path) ? [...wrong, ...impurities(path, text)] : wrong
  })
}

function importViolation(path: string, layer: string, specifier: string): string[] {
  if (!specifier.startsWith('.')) {
    if (!isPure(path) || PURE_LIBRARIES.has(specifier)) return []
    return [`${path}: is pure and must not import \`${specifier}\``]
  }
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1)
  if (!target.startsWith('src/')) return [`${path}: imports \`${specifier}\`, outside of src`]
  const from = layerOf(target)
  if (isPure(path) && !isPure(target))
    return [`${path}: is pure and must not import from \`${from}\` (\`${specifier}\`)`]
  if (from === layer || rank(from) < rank(layer)) return []
  return [`${path}: \`${layer}\` must not import from \`${from}\` (\`${specifier}\`)`]
}

function impurities(path: string, text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  const found = IMPURE.exec(code)
  return found === null ? [] : [`${path}: pure code must not use \`${found[0]}\``]
}

function isPure(path: string): boolean {
  return PURE.has(layerOf(path)) || PURE_FILES.has(path)
}

function layerOf(path: string): string {
  const [, folder = '', rest] = path.split('/')
  return rest === undefined ? folder.replace(/\.ts$/, '') : folder
}

function rank(layer: string): number {
  return LAYERS.findIndex((names) => names.includes(layer))
}

function importsOf(text: string): string[] {
  const matches = text.matchAll(
    /^\s*(?:import|export)\b[^'"]*?\bfrom\s+['"]([^'"]+)['"]|\bimport\(?\s*['"]([^'"]+)['"]/gm,
  )
  return [...matches].map((match) => match[1] ?? match[2] ?? '')
}
