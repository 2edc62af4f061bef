// References lead somewhere: every requirement id that a file cites ([E1], TU-04, `practice.P2` …) has its anchor in docs/reference/, every
// path a document or a source names exists, and every link between documents reaches its file and its heading.

import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { ROOT } from './source-files.ts'

const REFERENCE = 'docs/reference/'
const CITING = /^(src|test|scripts|bench|console|docs|config|scenarios)\/|^(README|CONTRIBUTING|CHANGELOG)\.md$/
/** Files that hold made-up references to try this check with. */
const FIXTURES = /^(?:test\/house\/references\.test|scripts\/check-references)\.ts$/
/** Names under which documents outside of the repository were cited. */
const ELSEWHERE =
  /gateway-egress|wirefilter(?:-language)?(?:\.md)?,? sections?|reliability(?:\.md| reference)|command-line\.md/i
const NUMBERED = /\[([A-Z]\d{1,2}(?:\.\d{1,2})?)\]|\b([A-Z]{2}-\d{2})\b|\bpractice\.(P\d+)\b/g
/** Bare C ids are the notes on compatibility, in the places that speak of spellings. */
const COMPATIBILITY = /^(?:src|test)\/expression\/|^docs\/(?:expressions|reference\/language)\.md$/
const BARE = /(?<![\w%[])(C\d{1,2})\b(?! controls)/g

/** One sentence per reference that leads nowhere (path from the root → text). */
export function referenceViolations(
  files: ReadonlyMap<string, string>,
  exists: (path: string) => boolean = (path) => existsSync(join(ROOT, path)),
): string[] {
  const citing = [...files].filter(([path]) => CITING.test(path) && !FIXTURES.test(path))
  const documents = citing.filter(([path]) => path.endsWith('.md'))
  return [
    ...idViolations(files, citing),
    ...citing.flatMap(([path, text]) => elsewhereViolations(path, text)),
    ...citing
      .filter(([path]) => path.endsWith('.md') || path.startsWith('src/'))
      .flatMap(([path, text]) => pathViolations(path, text, exists)),
    ...documents.flatMap(([path, text]) => linkViolations(path, text, { files, exists })),
  ]
}

/** The ids a file cites: `E1`, `L3.4`, `TU-04`, `P2`, `C6`. */
export function citedIds(path: string, text: string): Set<string> {
  const numbered = [...text.matchAll(NUMBERED)].map(
    ([, bracketed, dashed, practice]) => bracketed ?? dashed ?? practice,
  )
  const bare = COMPATIBILITY.test(path) ? [...text.matchAll(BARE)].map(([, id]) => id) : []
  return new Set([...numbered, ...bare].filter((id) => id !== undefined))
}

function idViolations(
  files: ReadonlyMap<string, string>,
  citing: readonly (readonly [path: string, text: string])[],
): string[] {
  const defined = [...files]
    .filter(([path]) => path.startsWith(REFERENCE))
    .flatMap(([, text]) => [...text.matchAll(/<a id="([^"]+)"><\/a>/g)].map(([, id = '']) => id))
  const known = new Set(defined)
  const twice = defined.filter((id, at) => defined.indexOf(id) !== at)
  const unknown = citing.flatMap(([path, text]) =>
    [...citedIds(path, text)]
      .filter((id) => !known.has(id.toLowerCase()))
      .map((id) => `${path}: cites ${id}, which ${REFERENCE} does not define`),
  )
  return [...twice.map((id) => `${REFERENCE}: defines ${id} twice`), ...unknown]
}

function elsewhereViolations(path: string, text: string): string[] {
  const found = ELSEWHERE.exec(text.replaceAll(/reference\/reliability\.md|\(reliability\.md/g, ''))
  return found === null ? [] : [`${path}: cites \`${found[0]}\`, which no reader has; cite an id of ${REFERENCE}`]
}

/** Paths of sources, tests and scripts that a document or a comment names. */
function pathViolations(path: string, text: string, exists: (path: string) => boolean): string[] {
  const named = [...text.matchAll(/(?<![\w/.-])(?:src|test|scripts)\/[\w./-]*\w/g)].map(([named]) => named)
  return [...new Set(named)]
    .filter((name) => !exists(name))
    .map((name) => `${path}: names \`${name}\`, which does not exist`)
}

function linkViolations(
  path: string,
  text: string,
  { files, exists }: { files: ReadonlyMap<string, string>; exists: (path: string) => boolean },
): string[] {
  const links = [...text.matchAll(/\]\((?![a-z]+:)([^)\s#]*)(?:#([^)\s]+))?\)/g)]
  return links.flatMap(([, to = '', fragment]) => {
    const target = to === '' ? path : normalize(join(dirname(path), to))
    if (!exists(target)) return [`${path}: links to \`${to}\`, which does not exist`]
    const document = files.get(target)
    if (fragment === undefined || document === undefined || anchors(document).has(fragment)) return []
    return [`${path}: links to \`${to}#${fragment}\`, a heading that is not there`]
  })
}

/** Anchors of a document: those written out, and those GitHub makes of headings. */
function anchors(document: string): Set<string> {
  const written = [...document.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)
  const headings = [...document.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .replaceAll(/<[^>]+>|[`*]/g, '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  )
  return new Set([...written, ...headings])
}
