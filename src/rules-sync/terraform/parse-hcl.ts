// HCL text in, its syntax as data out. The parser is tree-sitter's grammar for Terraform as WebAssembly, loaded when the first
// file is read; it needs no network. One mistake is reported for a file, with its line: what follows it means nothing.

import { fileURLToPath } from 'node:url'
import type { Node } from 'web-tree-sitter'
import { drawLine, inputError } from '../../errors/issue.ts'
import { readText } from '../recognise.ts'
import type { AccessStep, ForIntro, HclBlock, HclBody, HclExpression, TemplatePart } from './hcl-syntax.ts'
import type { HclPlace } from './hcl-values.ts'
import type { ParseFile } from './terraform-module.ts'

/** Loads the parser. What comes back reads one file; it throws an InputError for one that is not HCL. */
export async function loadHclParser(): Promise<ParseFile> {
  const { Language, Parser } = await import('web-tree-sitter')
  await Parser.init()
  const parser = new Parser()
  const grammar = import.meta.resolve('@tree-sitter-grammars/tree-sitter-hcl/tree-sitter-terraform.wasm')
  parser.setLanguage(await Language.load(fileURLToPath(grammar)))
  const known = new Map<string, HclBody>()
  return (file) => {
    const before = known.get(file)
    if (before !== undefined) return before
    const text = readText(file)
    const tree = parser.parse(text)
    if (tree === null) throw inputError('rules.not_hcl', `cannot read \`${file}\` as HCL`)
    const reader = new HclReader(file, text)
    const body = reader.file(tree.rootNode)
    tree.delete()
    known.set(file, body)
    return body
  }
}

const OPERATORS = new Set(['*', '/', '%', '+', '-', '>', '>=', '<', '<=', '==', '!=', '&&', '||'])
/** What closes something, where the grammar has another name for it. */
const CLOSING: Readonly<Record<string, string>> = {
  quoted_template_end: 'quote',
  heredoc_identifier: 'line',
  block_end: '`}`',
  object_end: '`}`',
  tuple_end: '`]`',
  template_interpolation_end: '`}`',
  template_directive_end: '`}`',
}
const EMPTY: HclBody = { attributes: new Map(), blocks: [] }

/** Turns the parser's tree into ours. */
class HclReader {
  readonly #file: string
  readonly #text: string

  constructor(file: string, text: string) {
    this.#file = file
    this.#text = text
  }

  file(root: Node): HclBody {
    if (root.hasError) throw this.#mistake(root)
    const [body] = named(root)
    return body?.type === 'body' ? this.#body(body) : EMPTY
  }

  #mistake(root: Node) {
    const found = firstMistake(root) ?? root
    const missing = found.isMissing ? (CLOSING[found.type] ?? `\`${found.type}\``) : undefined
    const opened = missing !== undefined && found.parent !== null && found.parent.startIndex < found.startIndex
    const { line, column } = this.#at(opened ? (found.parent ?? found) : found)
    const lacking = opened ? `the closing ${missing} of this is missing` : `${missing} is missing before this`
    const message = missing === undefined ? 'this is not HCL from here on' : lacking
    const drawing = drawLine(this.#text.split(/\r?\n/)[line - 1] ?? '', column, 1)
    return inputError('rules.not_hcl', message, { file: this.#file, line, column, drawing })
  }

  #at({ startPosition: { row, column } }: Node): HclPlace {
    return { file: this.#file, line: row + 1, column: column + 1 }
  }

  #body(node: Node): HclBody {
    const attributes = named(node).filter(({ type }) => type === 'attribute')
    const blocks = named(node).filter(({ type }) => type === 'block')
    return {
      attributes: new Map(attributes.map((attribute) => this.#attribute(attribute))),
      blocks: blocks.map((block) => this.#block(block)),
    }
  }

  #attribute(node: Node): [string, HclExpression] {
    const [name, value] = named(node)
    return [name?.text ?? '', this.#expression(value ?? node)]
  }

  #block(node: Node): HclBlock {
    const [type, ...rest] = named(node)
    const labels = rest.filter((part) => part.type === 'string_lit' || part.type === 'identifier')
    const body = rest.find((part) => part.type === 'body')
    return {
      type: type?.text ?? '',
      labels: labels.map((label) => (label.type === 'identifier' ? label.text : this.#quotedText(label))),
      body: body === undefined ? EMPTY : this.#body(body),
      at: this.#at(node),
    }
  }

  #expression(node: Node): HclExpression {
    const parts = named(node)
    const [first] = parts
    if (first === undefined) return { kind: 'literal', value: null, at: this.#at(node) }
    if (first.type !== 'conditional') return this.#terms(parts)
    const [condition = first, yes = first, no = first] = named(first)
    return {
      kind: 'conditional',
      condition: this.#expression(condition),
      yes: this.#expression(yes),
      no: this.#expression(no),
      at: this.#at(first),
    }
  }

  /** A term and what is taken from it: `.name`, `[key]`, `[*]`. */
  #terms([first, ...rest]: readonly Node[]): HclExpression {
    if (first === undefined) throw new RangeError('an expression has at least one term')
    return rest.reduce<HclExpression>(
      (of, node) => ({ kind: 'access', of, step: this.#step(node), at: of.at }),
      this.#term(first),
    )
  }

  #step(node: Node): AccessStep {
    const [inner] = named(node)
    if (node.type === 'get_attr') return { kind: 'attribute', name: inner?.text ?? '' }
    if (node.type === 'splat') {
      return { kind: 'splat', steps: inner === undefined ? [] : named(inner).map((part) => this.#step(part)) }
    }
    const [key] = inner === undefined ? [] : named(inner)
    const at = this.#at(node)
    if (key !== undefined) return { kind: 'index', key: this.#expression(key) }
    return { kind: 'index', key: { kind: 'literal', value: Number(node.text.slice(1)), at } }
  }

  #term(node: Node): HclExpression {
    const at = this.#at(node)
    const [inner = node] = named(node)
    switch (node.type) {
      case 'expression':
        return this.#expression(node)
      case 'literal_value':
        return inner.type === 'string_lit' ? this.#template(inner) : { kind: 'literal', value: literalOf(inner), at }
      case 'template_expr':
        return this.#template(inner)
      case 'variable_expr':
        return { kind: 'variable', name: node.text, at }
      case 'collection_value':
        return inner.type === 'tuple' ? this.#tuple(inner) : this.#object(inner)
      case 'function_call':
        return this.#call(node)
      case 'for_expr':
        return this.#loop(inner)
      case 'operation':
        return this.#operation(inner)
      default:
        throw new RangeError(`the grammar has a term of an unknown type, ${node.type}`)
    }
  }

  #tuple(node: Node): HclExpression {
    const items = named(node).filter(({ type }) => type === 'expression')
    return { kind: 'tuple', items: items.map((item) => this.#expression(item)), at: this.#at(node) }
  }

  #object(node: Node): HclExpression {
    const elements = named(node).filter(({ type }) => type === 'object_elem')
    const entries = elements.map((element) => {
      const [key = element, value = element] = named(element)
      return [this.#key(key), this.#expression(value)] as const
    })
    return { kind: 'object', entries, at: this.#at(node) }
  }

  /** A bare name is a text. */
  #key(node: Node): HclExpression {
    const key = this.#expression(node)
    return key.kind === 'variable' && !node.text.startsWith('(')
      ? { kind: 'literal', value: key.name, at: key.at }
      : key
  }

  #call(node: Node): HclExpression {
    const [name, list] = named(node)
    const args = list === undefined ? [] : named(list)
    return {
      kind: 'call',
      name: name?.text ?? '',
      args: args.filter(({ type }) => type === 'expression').map((arg) => this.#expression(arg)),
      expands: args.some(({ type }) => type === 'ellipsis'),
      at: this.#at(node),
    }
  }

  #loop(node: Node): HclExpression {
    const parts = named(node)
    const intro = parts.find(({ type }) => type === 'for_intro') ?? node
    const [only = node, second] = parts.filter(({ type }) => type === 'expression')
    const condition = parts.find(({ type }) => type === 'for_cond')
    const [test] = condition === undefined ? [] : named(condition)
    return {
      kind: 'for',
      ...this.#intro(intro),
      ...(second === undefined ? {} : { key: this.#expression(only) }),
      result: this.#expression(second ?? only),
      groups: parts.some(({ type }) => type === 'ellipsis'),
      ...(test === undefined ? {} : { condition: this.#expression(test) }),
      at: this.#at(node),
    }
  }

  #intro(node: Node): ForIntro {
    const names = named(node).filter(({ type }) => type === 'identifier')
    const collection = named(node).find(({ type }) => type === 'expression') ?? node
    const [first, second] = names.map(({ text }) => text)
    return {
      ...(second === undefined || first === undefined ? {} : { keyName: first }),
      valueName: second ?? first ?? '',
      collection: this.#expression(collection),
    }
  }

  #operation(node: Node): HclExpression {
    const at = this.#at(node)
    const parts = node.children.filter(({ type }) => type !== 'comment')
    if (node.type === 'unary_operation') {
      return { kind: 'unary', operator: parts[0]?.type ?? '', item: this.#terms(named(node)), at }
    }
    const middle = parts.findIndex((part) => !part.isNamed && OPERATORS.has(part.type))
    return {
      kind: 'binary',
      operator: parts[middle]?.type ?? '',
      left: this.#terms(parts.slice(0, middle).filter(({ isNamed }) => isNamed)),
      right: this.#terms(parts.slice(middle + 1).filter(({ isNamed }) => isNamed)),
      at,
    }
  }

  /** A text in quotes without any value in it. */
  #quotedText(node: Node): string {
    const { parts } = this.#template(node)
    return parts.map((part) => (typeof part === 'string' ? part : '')).join('')
  }

  /** Literal text is cut out of the source, between the values in it: the tree leaves out some of its white space. */
  #template(node: Node): HclExpression & { readonly kind: 'template' } {
    const at = this.#at(node)
    const parts = named(node)
    const [first = node, last = node] = [parts[0], parts.at(-1)]
    if (node.type !== 'heredoc_template') {
      const span = [first.endIndex, last.startIndex] as const
      return { kind: 'template', parts: this.#parts(parts, span, unescapeQuoted), at }
    }
    const start = this.#text.indexOf('\n', parts[1]?.endIndex) + 1
    const end = Math.max(start, this.#text.lastIndexOf('\n', last.startIndex - 1) + 1)
    const indent = first.text === '<<-' ? commonIndent(this.#text.slice(start, end)) : 0
    const read = (raw: string, from: number) => withoutIndent(raw, indent, from === start).replace(/([$%])\1\{/g, '$1{')
    return { kind: 'template', parts: this.#parts(parts, [start, end], read), at }
  }

  /** `edges`: whether markers (`~`) before and after strip the white space of the first and the last literal. */
  #parts(
    nodes: readonly Node[],
    [from, to]: readonly [number, number],
    read: ReadLiteral,
    edges: readonly [boolean, boolean] = [false, false],
  ): TemplatePart[] {
    const inner = nodes.filter(({ type }) => type === 'template_interpolation' || type === 'template_directive')
    const parts: TemplatePart[] = []
    let [at, strip] = [from, edges[0]]
    const literal = (end: number, stripEnd: boolean) => {
      const whole = read(this.#text.slice(at, end), at)
      const text = stripEnd ? whole.trimEnd() : whole
      if (text !== '') parts.push(strip ? text.trimStart() : text)
    }
    for (const node of inner) {
      literal(node.startIndex, stripsBefore(node))
      parts.push(this.#part(node, read))
      at = node.endIndex
      strip = stripsAfter(node)
    }
    literal(to, edges[1])
    return parts
  }

  #part(node: Node, read: ReadLiteral): TemplatePart {
    if (node.type === 'template_interpolation') {
      const value = named(node).find(({ type }) => type === 'expression')
      return { kind: 'value', value: this.#expression(value ?? node) }
    }
    const [directive = node] = named(node)
    const parts = named(directive)
    const [intro = node, end = node] = [parts[0], parts.at(-1)]
    const otherwise = parts.find(({ type }) => type === 'template_else_intro')
    const bodyOf = (first: Node, last: Node) =>
      this.#parts(
        parts.filter(({ startIndex }) => startIndex >= first.endIndex && startIndex < last.startIndex),
        [first.endIndex, last.startIndex],
        read,
        [stripsAfter(first), stripsBefore(last)],
      )
    if (directive.type === 'template_for') return { kind: 'for', ...this.#intro(intro), body: bodyOf(intro, end) }
    const condition = named(intro).find(({ type }) => type === 'expression') ?? intro
    return {
      kind: 'if',
      condition: this.#expression(condition),
      yes: bodyOf(intro, otherwise ?? end),
      no: otherwise === undefined ? [] : bodyOf(otherwise, end),
    }
  }
}

/** `from`: where the literal begins in the source. */
type ReadLiteral = (raw: string, from: number) => string

/** `${~` and `%{~` strip the white space before them, `~}` that after it. */
function stripsBefore({ text }: Node): boolean {
  return /^[$%]\{~/.test(text)
}

function stripsAfter({ text }: Node): boolean {
  return text.endsWith('~}')
}

function named(node: Node): Node[] {
  return node.namedChildren.filter((child) => child.type !== 'comment')
}

function firstMistake(node: Node): Node | undefined {
  if (node.isError || node.isMissing) return node
  for (const child of node.children) {
    const found = child.hasError || child.isMissing ? firstMistake(child) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

function literalOf({ type, text }: Node): string | number | boolean | null {
  if (type === 'numeric_lit') return Number(text)
  return type === 'bool_lit' ? text === 'true' : null
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' }

function unescapeQuoted(raw: string): string {
  return raw.replace(/\\u([\da-f]{4})|\\U([\da-f]{8})|\\(.)|([$%])\4\{/gi, (whole, short, long, plain, sign) => {
    if (sign !== undefined) return `${sign}{`
    if (plain !== undefined) return ESCAPES[plain] ?? whole
    return String.fromCodePoint(Number.parseInt(short ?? long, 16))
  })
}

function commonIndent(text: string): number {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.length === 0 ? 0 : Math.min(...lines.map((line) => line.length - line.trimStart().length))
}

function withoutIndent(raw: string, indent: number, isStart: boolean): string {
  if (indent === 0) return raw
  const rest = raw.replaceAll(new RegExp(`\\n[ \\t]{1,${indent}}`, 'g'), '\n')
  return isStart ? rest.replace(new RegExp(`^[ \\t]{1,${indent}}`), '') : rest
}
