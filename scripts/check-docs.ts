// Every function and class that src exports says what a reader needs: a doc comment stands right above it, and says more
// than the name does.

const EXPORTED =
  /^export (?:default )?(?:(?:async |declare )?function\*?|(?:abstract |declare )*class|const(?= \w+(?:: [^=\n]+)? = (?:async )?(?:<[^>\n]*>)?\((?:\w+\??:|\w+\) =>|\{|\) =>|\)\s*:)))\s+(\w+)/gm
const DOC_ABOVE = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n$/

/** One sentence per exported function or class without a doc comment, or with one that only repeats its name (path from
 *  the root → text). Of a function with several signatures the first one carries the comment. */
export function docViolations(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, text]) => {
    if (!path.startsWith('src/') || !path.endsWith('.ts')) return []
    const said = new Set<string>()
    return [...text.matchAll(EXPORTED)].flatMap(({ 1: name = '', index }) => {
      if (said.has(name)) return []
      said.add(name)
      const above = DOC_ABOVE.exec(text.slice(0, index))?.[1]
      const at = `${path}:${text.slice(0, index).split('\n').length}`
      if (above === undefined)
        return [`${at}: \`${name}\` has no doc comment: what it does, shapes, units, errors, source`]
      return isName(above, name) ? [`${at}: the doc comment of \`${name}\` only repeats its name`] : []
    })
  })
}

/** Whether a comment has the words of a name and no others. */
function isName(comment: string, name: string): boolean {
  const words = (text: string) => text.toLowerCase().replace(/\b(?:an?|the|of)\b|[^a-z0-9]/g, '')
  return words(comment) === words(name.replace(/([a-z])([A-Z])/g, '$1 $2'))
}
