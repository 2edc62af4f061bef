// Reads what a solver is told and evaluates it for given values: an independent reader of the encoding, without a
// solver.

import type { Term } from '../../src/prove/terms.ts'

export type Assignment = ReadonlyMap<string, boolean | number>

type Evaluate = (values: Assignment) => boolean | number
type Tree = string | readonly Tree[]

export interface Variable {
  readonly name: string
  /** undefined: Boolean */
  readonly bits: number | undefined
}

export class TermEvaluator {
  readonly variables: Variable[] = []
  readonly #definitions = new Map<string, Evaluate>()
  readonly #constraints: { readonly holds: Evaluate; readonly variables: readonly string[] }[] = []
  readonly #known = new Map<string, boolean | number>()
  #values: Assignment | undefined

  constructor(script: string) {
    const declared = new Map<string, number | undefined>()
    for (const [head, ...rest] of parseAll(script)) {
      if (head === 'declare-const') {
        const [name = '', sort] = rest
        declared.set(String(name), typeof sort === 'string' ? undefined : Number(sort?.[2]))
        continue
      }
      const [term = ''] = rest
      const [op, name, meaning] = typeof term === 'string' ? [] : term
      if (op === '=' && typeof name === 'string' && /^t\d+$/.test(name) && meaning !== undefined) {
        this.#definitions.set(name, this.#compile(meaning))
      } else this.#constraints.push({ holds: this.#compile(term), variables: namesIn(term) })
    }
    for (const [name, bits] of declared) if (!this.#definitions.has(name)) this.variables.push({ name, bits })
  }

  /** Variables of the first constraint that the values do not meet; undefined for a connection there can be. */
  brokenBy(values: Assignment): readonly string[] | undefined {
    this.#begin(values)
    return this.#constraints.find(({ holds }) => holds(values) !== true)?.variables
  }

  holds(term: Term, values: Assignment): boolean {
    this.#begin(values)
    const [tree = ''] = parseAll(term)
    return this.#compile(tree)(values) === true
  }

  #begin(values: Assignment): void {
    if (this.#values === values) return
    this.#values = values
    this.#known.clear()
  }

  #valueOf(name: string, values: Assignment): boolean | number {
    const given = values.get(name) ?? this.#known.get(name)
    if (given !== undefined) return given
    const meaning = this.#definitions.get(name)
    if (meaning === undefined) throw new Error(`${name} has no value`)
    const made = meaning(values)
    this.#known.set(name, made)
    return made
  }

  #compile(tree: Tree): Evaluate {
    if (typeof tree === 'string') {
      if (tree === 'true' || tree === 'false') return () => tree === 'true'
      return (values) => this.#valueOf(tree, values)
    }
    const [op, ...rest] = tree
    if (op === '_') {
      const value = Number(String(rest[0]).slice(2))
      return () => value
    }
    const items = rest.map((item) => this.#compile(item))
    const [a, b, c] = items as [Evaluate, Evaluate, Evaluate]
    if (typeof op !== 'string') {
      const limit = Number(op?.[2])
      return (values) => items.filter((item) => item(values) === true).length <= limit
    }
    switch (op) {
      case 'and':
        return (values) => items.every((item) => item(values) === true)
      case 'or':
        return (values) => items.some((item) => item(values) === true)
      case 'not':
        return (values) => a(values) !== true
      case 'xor':
        return (values) => a(values) !== b(values)
      case '=':
        return (values) => a(values) === b(values)
      case '=>':
        return (values) => a(values) !== true || b(values) === true
      case 'ite':
        return (values) => (a(values) === true ? b(values) : c(values))
      case 'bvule':
        return (values) => Number(a(values)) <= Number(b(values))
      default:
        throw new Error(`unknown operator ${op}`)
    }
  }
}

function namesIn(tree: Tree): string[] {
  return typeof tree === 'string' ? [tree] : tree.flatMap(namesIn)
}

function parseAll(text: string): Tree[] {
  const stack: Tree[][] = [[]]
  for (const [token] of text.matchAll(/[()]|[^\s()]+/g)) {
    if (token === '(') stack.push([])
    else if (token === ')') {
      const done = stack.pop() ?? []
      stack.at(-1)?.push(done)
    } else stack.at(-1)?.push(token)
  }
  return stack[0] ?? []
}
