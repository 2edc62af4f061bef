// The options of the library, checked before anything happens: unknown names and wrong types are reported all at once, each with
// its path, so that a misspelt option never counts as absent.

import { didYouMean } from '../errors/did-you-mean.ts'
import { InputError, type Issue } from '../errors/issue.ts'

/** What an option may be, in words, and the test of it. */
export interface OptionKind {
  readonly what: string
  readonly test: (value: unknown) => boolean
}

export const TEXT: OptionKind = { what: 'a text', test: (value) => typeof value === 'string' && value !== '' }
export const FLAG: OptionKind = { what: '`true` or `false`', test: (value) => typeof value === 'boolean' }
export const OBJECT: OptionKind = {
  what: 'an object',
  test: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
}
export const FUNCTION: OptionKind = { what: 'a function', test: (value) => typeof value === 'function' }
export const TEXTS: OptionKind = {
  what: 'a list of texts',
  test: (value) => Array.isArray(value) && value.every((item) => typeof item === 'string'),
}

/** A whole number within these bounds. */
export function wholeNumber(least: number, most: number): OptionKind {
  const test = (value: unknown) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most
  return { what: `a whole number from ${least} to ${most}`, test }
}

/** One of these. */
export function oneOf(values: readonly (string | number)[]): OptionKind {
  return {
    what: values.map((value) => `\`${value}\``).join(' or '),
    test: (value) => values.some((one) => one === value),
  }
}

/** Throws an InputError with every option that is unknown or is not what it must be. `undefined` counts as absent. */
export function checkOptions(
  given: unknown,
  known: Readonly<Record<string, OptionKind>>,
  path: Issue['path'] = [],
): void {
  if (!OBJECT.test(given))
    throw new InputError([problem('library.wrong_option', `expected an object, found ${show(given)}`, path)])
  const issues = Object.entries(Object(given)).flatMap(([name, value]): Issue[] => {
    const kind = Object.hasOwn(known, name) ? known[name] : undefined
    const at = [...path, name]
    if (kind === undefined) {
      const hint = didYouMean(name, Object.keys(known), 'known options')
      return [problem('library.unknown_option', `unknown option \`${at.join('.')}\``, at, hint)]
    }
    if (value === undefined || kind.test(value)) return []
    return [problem('library.wrong_option', `\`${at.join('.')}\` is ${show(value)}; expected ${kind.what}`, at)]
  })
  if (issues.length > 0) throw new InputError(issues)
}

/** The text, where it is one. Throws an InputError that calls it by this name. */
export function requireText(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw optionError([name], `\`${name}\` is ${show(value)}; expected a text`)
}

/** An error about one option or value. */
export function optionError(path: NonNullable<Issue['path']>, message: string, hint?: string): InputError {
  return new InputError([problem('library.wrong_option', message, path, hint)])
}

/** Issues of a text that nobody wrote, at their paths below `path` instead of lines. */
export function atPath(issues: readonly Issue[], path: NonNullable<Issue['path']>): Issue[] {
  return issues.map(({ file: _file, line: _line, column: _column, drawing: _drawing, ...issue }) => ({
    ...issue,
    path: [...path, ...(issue.path ?? [])],
  }))
}

/** The same work, whose InputErrors have the paths that `pathOf` says. */
export async function withPaths<T>(
  pathOf: (issue: Issue) => NonNullable<Issue['path']>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    throw new InputError(thrown.issues.map((issue) => ({ ...issue, path: pathOf(issue) })))
  }
}

function problem(code: string, message: string, path: Issue['path'] = [], hint?: string): Issue {
  return { severity: 'error', code, message, path, ...(hint === undefined ? {} : { hint }) }
}

function show(value: unknown): string {
  if (typeof value === 'string') return `\`${value}\``
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : `\`${String(value)}\``
}
