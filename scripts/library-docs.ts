// `node scripts/library-docs.ts`: writes docs/library.md from the declarations of the package's entries and the comments at them.
// A test fails while the page is not what this makes.

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from './source-files.ts'

const PAGE = 'docs/library.md'
const INTRODUCTION = `<!-- made by \`node scripts/library-docs.ts\` from the declarations in src/library/; change those -->

# The library

[Egress in your test suite](testing.md) shows how all of this is used. Options are checked: an unknown or wrong one is an
\`InputError\`, whose \`issues\` have a \`path\` each. Nothing here ends the process, handles signals or prints.
`
const ENTRIES = [
  { title: "`import { … } from 'egresslab'`", file: 'src/library/index.ts' },
  { title: "`import { … } from 'egresslab/policy'`", file: 'src/library/policy.ts' },
] as const

/** The page as it ought to be. */
export function libraryDocs(): string {
  return INTRODUCTION + ENTRIES.map(({ title, file }) => `\n## ${title}\n${sectionsOf(file).join('')}`).join('')
}

interface Declaration {
  readonly name: string
  /** the comment, as text */
  readonly about: string
  /** without bodies of functions */
  readonly code: string
}

function sectionsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const own = declarationsIn(text)
  const elsewhere = [...text.matchAll(/^export (?:type )?\{\s*([^}]*?),?\s*\} from '(\.[^']+)'/gm)].flatMap(
    ([, names = '', path = '']) => {
      const there = declarationsIn(readFileSync(join(ROOT, dirname(file), path), 'utf8'))
      const wanted = names.split(/,\s*/).map((name) => name.replace(/^type /, ''))
      return there.filter(({ name }) => wanted.includes(name))
    },
  )
  const ordered = [...own, ...elsewhere].sort((a, b) => rankOf(a) - rankOf(b))
  return ordered.map(({ name, about, code }) => `\n### ${name}\n\n${about}\n\n\`\`\`ts\n${code}\n\`\`\`\n`)
}

/** What is called comes first, then what it gives. */
function rankOf({ name }: Declaration): number {
  if (name.endsWith('()')) return 0
  return name === 'Lab' || name === 'Policy' ? 1 : 2
}

const DECLARATION =
  /^\/\*\* ((?:(?!\*\/)[\s\S])*?) \*\/\nexport ((?:async )?function (\w+)[^\n]*\{$|(?:interface|class) (\w+)[^\n]*\{(?:\}|\n[\s\S]*?^\}))/gm

function declarationsIn(text: string): Declaration[] {
  return [...text.matchAll(DECLARATION)].map(([, comment = '', code = '', name, type]) => ({
    name: name === undefined ? (type ?? '') : `${name}()`,
    about: comment.replace(/\n \* {1,2}/g, ' '),
    code: code.replace(/ \{$/, ''),
  }))
}

if (import.meta.main) writeFileSync(join(ROOT, PAGE), libraryDocs())
