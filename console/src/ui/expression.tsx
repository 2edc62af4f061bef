// An expression of the rule language in colours, with marks on parts of it. Knows words, not grammar: what is wrong is the lab's
// to say.

import type { JSX } from 'preact'

export interface Mark {
  /** half-open, in characters */
  readonly span: readonly [number, number]
  readonly kind: 'problem' | 'held' | 'failed'
  readonly title?: string
}

type Kind = 'field' | 'word' | 'text' | 'number' | 'list' | 'call' | 'plain'

interface Token {
  readonly kind: Kind
  readonly text: string
}

const WORDS = new Set('and or xor not in eq ne lt le gt ge contains matches wildcard strict bitwise_and'.split(' '))
const TOKEN =
  /(r?#*"(?:\\.|[^"\\])*"?#*)|(\$[\w.-]+)|(\d[\w.:/]*)|([A-Za-z_]\w*(?:\.\w+)*)(\s*\()?|(&&|\|\||\^\^|[=!<>~&!]+)|(\s+|.)/gs

export function Expression({
  text,
  marks = [],
}: {
  readonly text: string
  readonly marks?: readonly Mark[]
}): JSX.Element {
  return <code class="expression">{pieces(text, marks)}</code>
}

/** The coloured pieces alone, for laying under a text field. */
export function pieces(text: string, marks: readonly Mark[]): JSX.Element[] {
  const out: JSX.Element[] = []
  let at = 0
  for (const { kind, text: token } of tokensOf(text)) {
    const characters = Array.from(token)
    for (const [from, to, mark] of cut(at, characters.length, marks)) {
      const classes = [kind === 'plain' ? '' : `code-${kind}`, mark === undefined ? '' : `mark-${mark.kind}`]
        .join(' ')
        .trim()
      out.push(
        <span key={at + from} class={classes === '' ? undefined : classes} title={mark?.title}>
          {characters.slice(from, to).join('')}
        </span>,
      )
    }
    at += characters.length
  }
  return out
}

function tokensOf(text: string): Token[] {
  return [...text.matchAll(TOKEN)].flatMap(([all, quoted, list, number, name, open, operator]): Token[] => {
    if (quoted !== undefined) return [{ kind: 'text', text: all }]
    if (list !== undefined) return [{ kind: 'list', text: all }]
    if (number !== undefined) return [{ kind: 'number', text: all }]
    if (operator !== undefined) return [{ kind: 'word', text: all }]
    if (name === undefined) return [{ kind: 'plain', text: all }]
    const kind = WORDS.has(name) ? 'word' : open !== undefined ? 'call' : name.includes('.') ? 'field' : 'plain'
    return open === undefined
      ? [{ kind, text: name }]
      : [
          { kind, text: name },
          { kind: 'plain', text: open },
        ]
  })
}

/** Pieces of a token of `length` characters at `start`, cut where marks begin and end. */
function cut(start: number, length: number, marks: readonly Mark[]): [number, number, Mark | undefined][] {
  const edges = new Set([0, length])
  for (const { span } of marks) {
    for (const edge of span) if (edge > start && edge < start + length) edges.add(edge - start)
  }
  const sorted = [...edges].sort((a, b) => a - b)
  return sorted.slice(0, -1).map((from, index) => {
    const at = start + from
    const mark = marks.find(({ span: [begin, end] }) => at >= begin && at < Math.max(end, begin + 1))
    return [from, sorted[index + 1] ?? length, mark]
  })
}
