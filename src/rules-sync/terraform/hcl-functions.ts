// Terraform's functions, as far as configurations of rules and lists use them and their result depends on nothing but the
// arguments and files. Any other is unknown, by its name.

import { resolve } from 'node:path'
import { parse } from 'yaml'
import { readWholeFile } from '../../config/files.ts'
import { messageOf } from '../../errors/thrown.ts'
import {
  equalValues,
  type HclPlace,
  type HclValue,
  isLength,
  isObject,
  membersOf,
  numberOfValue,
  objectFrom,
  textOfValue,
  UnknownValue,
  unknownIn,
} from './hcl-values.ts'

export interface CallContext {
  readonly at: HclPlace
  /** the folder that relative paths start from */
  readonly folder: string
}

/** The result of a function of known arguments; unknown for a function that is not one of these, and for arguments it does
 *  not take. */
export function callFunction(name: string, args: readonly HclValue[], context: CallContext): HclValue {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined
  if (call === undefined) return new UnknownValue(`the function \`${name}\` is not evaluated here`, context.at)
  try {
    return call(args, context)
  } catch (thrown) {
    if (thrown instanceof UnknownArgument) return thrown.value
    return new UnknownValue(`\`${name}\` fails: ${messageOf(thrown)}`, context.at)
  }
}

type HclFunction = (args: readonly HclValue[], context: CallContext) => HclValue

class UnknownArgument extends Error {
  readonly value: UnknownValue

  constructor(value: UnknownValue) {
    super(value.why)
    this.value = value
  }
}

/** The argument as text. Throws TypeError for one that has none, as the functions below throw for what they do not take. */
function text(value: HclValue | undefined): string {
  if (value instanceof UnknownValue) throw new UnknownArgument(value)
  const shown = textOfValue(value ?? null)
  if (shown === undefined) throw new TypeError('an argument is not a text')
  return shown
}

function number(value: HclValue | undefined): number {
  if (value instanceof UnknownValue) throw new UnknownArgument(value)
  const found = numberOfValue(value ?? null)
  if (found === undefined) throw new TypeError('an argument is not a number')
  return found
}

/** The elements of a list, or the values of a map. */
function items(value: HclValue | undefined): readonly HclValue[] {
  const members = membersOf(value ?? null)
  if (members === undefined) throw new TypeError('an argument is not a list')
  return members.map(([, item]) => item)
}

function entries(value: HclValue | undefined): readonly (readonly [string, HclValue])[] {
  if (value === undefined || !isObject(value)) throw new TypeError('an argument is not a map')
  return (membersOf(value) ?? []).map(([name, item]) => [String(name), item] as const)
}

function distinct(values: readonly HclValue[]): HclValue[] {
  return values.filter((value, at) => values.findIndex((other) => equalValues(other, value)) === at)
}

/** A set of texts has the order of its elements. */
function setOf(values: readonly HclValue[]): HclValue[] {
  const unique = distinct(values)
  return unique.every((value) => typeof value === 'string') ? unique.toSorted() : unique
}

function flatten(values: readonly HclValue[]): HclValue[] {
  return values.flatMap((value) => (Array.isArray(value) ? flatten(value as readonly HclValue[]) : [value]))
}

const VERB = /%(%|(?:\[(\d+)\])?(-?0?)(\d*)(?:\.(\d+))?([sqdvt]))/g

/** The verbs `%s %d %v %q %t`, a width, zeros before a number, and `%[n]s`. */
function format(pattern: string, args: readonly HclValue[]): string {
  let next = 0
  return pattern.replace(VERB, (whole, percent, at, flag, width, _precision, verb) => {
    if (percent === '%') return '%'
    if (at !== undefined) next = Number(at) - 1
    const value = args[next++]
    if (value === undefined) throw new TypeError(`there is no argument for \`${whole}\``)
    const plain = textOfValue(value) ?? JSON.stringify(value)
    const shown = verb === 'q' ? JSON.stringify(plain) : plain
    if (!isLength(Number(width || 0))) throw new TypeError('it is too wide')
    if (flag === '-') return shown.padEnd(Number(width || 0))
    return shown.padStart(Number(width || 0), flag === '0' ? '0' : ' ')
  })
}

/** One text for each element of the longest list; other arguments are the same for each. */
function formatList(pattern: string, args: readonly HclValue[]): HclValue {
  const length = Math.max(...args.map((arg) => (Array.isArray(arg) ? arg.length : 0)))
  return Array.from({ length }, (_, at) =>
    format(
      pattern,
      args.map((arg) => (Array.isArray(arg) ? ((arg as readonly HclValue[])[at] ?? null) : arg)),
    ),
  )
}

/** A pattern between slashes is a regular expression. */
function replace(whole: string, sought: string, by: string): string {
  if (sought.length < 2 || !sought.startsWith('/') || !sought.endsWith('/')) return whole.replaceAll(sought, () => by)
  return whole.replace(new RegExp(sought.slice(1, -1), 'g'), by.replaceAll(/\$\{?(\w+)\}?/g, '$$$1'))
}

function trimOf(whole: string, characters: string): string {
  const isKept = (unit: string) => !characters.includes(unit)
  const units = [...whole]
  const first = units.findIndex(isKept)
  return first < 0 ? '' : units.slice(first, units.findLastIndex(isKept) + 1).join('')
}

function chunks(values: readonly HclValue[], size: number): HclValue {
  if (size < 1) throw new TypeError('the size of a chunk is at least 1')
  return Array.from({ length: Math.ceil(values.length / size) }, (_, at) => values.slice(at * size, (at + 1) * size))
}

function fileText(path: HclValue | undefined, { folder }: CallContext): string {
  return readWholeFile(resolve(folder, text(path))).toString('utf8')
}

/** Data of a JSON or YAML text. */
function decoded(data: unknown): HclValue {
  if (Array.isArray(data)) return data.map(decoded)
  if (typeof data === 'object' && data !== null) {
    return objectFrom(Object.entries(data).map(([name, value]) => [name, decoded(value)] as const))
  }
  return typeof data === 'string' || typeof data === 'number' || typeof data === 'boolean' ? data : null
}

function csvRows(whole: string): HclValue {
  const [head = '', ...rows] = whole.split(/\r?\n/).filter((line) => line !== '')
  const names = head.split(',')
  if (whole.includes('"')) throw new TypeError('quoted fields are not read here')
  return rows.map((row) => objectFrom(row.split(',').map((value, at) => [names[at] ?? '', value] as const)))
}

const FUNCTIONS: Readonly<Record<string, HclFunction>> = {
  abspath: ([path], { folder }) => resolve(folder, text(path)),
  chomp: ([whole]) => text(whole).replace(/[\r\n]+$/, ''),
  chunklist: ([list, size]) => chunks(items(list), number(size)),
  coalesce: (args) => args.find((arg) => arg !== null && arg !== '') ?? null,
  coalescelist: (args) => args.find((arg) => items(arg).length > 0) ?? [],
  compact: ([list]) => items(list).filter((item) => item !== null && item !== ''),
  concat: (args) => args.flatMap((arg) => [...items(arg)]),
  contains: ([list, value]) => items(list).some((item) => equalValues(item, value ?? null)),
  csvdecode: ([whole]) => csvRows(text(whole)),
  distinct: ([list]) => distinct(items(list)),
  element: ([list, at]) => {
    const all = items(list)
    return all[number(at) % all.length] ?? null
  },
  endswith: ([whole, end]) => text(whole).endsWith(text(end)),
  file: ([path], context) => fileText(path, context),
  flatten: ([list]) => flatten(items(list)),
  format: ([pattern, ...args]) => format(text(pattern), args),
  formatlist: ([pattern, ...args]) => formatList(text(pattern), args),
  index: ([list, value]) => items(list).findIndex((item) => equalValues(item, value ?? null)),
  join: ([separator, ...lists]) => flatten(lists).map(text).join(text(separator)),
  jsondecode: ([whole]) => decoded(JSON.parse(text(whole))),
  jsonencode: ([value = null]) => unknownIn(value) ?? JSON.stringify(value),
  keys: ([map]) => entries(map).map(([name]) => name),
  length: ([value]) => (typeof value === 'string' ? [...value].length : items(value).length),
  lookup: ([map, name, otherwise]) => {
    const found = entries(map).find(([key]) => key === text(name))
    if (found === undefined && otherwise === undefined) throw new TypeError(`there is no \`${text(name)}\``)
    return found?.[1] ?? otherwise ?? null
  },
  lower: ([whole]) => text(whole).toLowerCase(),
  max: (args) => Math.max(...args.map(number)),
  merge: (args) => objectFrom(args.flatMap((arg) => (arg === null ? [] : [...entries(arg)]))),
  min: (args) => Math.min(...args.map(number)),
  nonsensitive: ([value = null]) => value,
  one: ([list]) => items(list)[0] ?? null,
  range: ([first, end, by]) => {
    const [start, last, size] =
      end === undefined ? [0, number(first), 1] : [number(first), number(end), number(by ?? 1)]
    const length = Math.max(0, Math.ceil((last - start) / size))
    if (!isLength(length)) throw new TypeError('it is too long')
    return Array.from({ length }, (_, at) => start + at * size)
  },
  replace: ([whole, sought, by]) => replace(text(whole), text(sought), text(by)),
  reverse: ([list]) => items(list).toReversed(),
  sensitive: ([value = null]) => value,
  setsubtract: ([list, others]) =>
    setOf(items(list).filter((item) => !items(others).some((one) => equalValues(one, item)))),
  setunion: (args) => setOf(args.flatMap((arg) => [...items(arg)])),
  slice: ([list, first, end]) => items(list).slice(number(first), number(end)),
  sort: ([list]) => items(list).map(text).toSorted(),
  split: ([separator, whole]) => text(whole).split(text(separator)),
  startswith: ([whole, start]) => text(whole).startsWith(text(start)),
  strcontains: ([whole, part]) => text(whole).includes(text(part)),
  substr: ([whole, first, length]) => {
    const units = [...text(whole)].slice(number(first))
    return (number(length) < 0 ? units : units.slice(0, number(length))).join('')
  },
  tobool: ([value]) => value === true || value === 'true',
  tolist: ([list]) => [...items(list)],
  tomap: ([map]) => objectFrom(entries(map)),
  tonumber: ([value]) => number(value),
  toset: ([list]) => setOf(items(list)),
  tostring: ([value]) => text(value),
  trim: ([whole, characters]) => trimOf(text(whole), text(characters)),
  trimprefix: ([whole, start]) =>
    text(whole).startsWith(text(start)) ? text(whole).slice(text(start).length) : text(whole),
  trimspace: ([whole]) => text(whole).trim(),
  trimsuffix: ([whole, end]) =>
    text(whole).endsWith(text(end)) ? text(whole).slice(0, -text(end).length || undefined) : text(whole),
  upper: ([whole]) => text(whole).toUpperCase(),
  values: ([map]) => entries(map).map(([, value]) => value),
  yamldecode: ([whole]) => decoded(parse(text(whole))),
  zipmap: ([names, values]) =>
    objectFrom(items(names).map((name, at) => [text(name), items(values)[at] ?? null] as const)),
}
