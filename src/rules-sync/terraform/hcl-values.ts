// The values of HCL expressions, among them what cannot be known here: it goes through every operation, so that only what
// is needed in the end has to be known.

/** Where something is written; line and column are 1-based. */
export interface HclPlace {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A value that only Terraform can tell: after an apply, from a data source, from a variable somebody sets. */
export class UnknownValue {
  /** a clause: ``the variable `account` has no default`` */
  readonly why: string
  readonly at: HclPlace

  constructor(why: string, at: HclPlace) {
    this.why = why
    this.at = at
  }
}

export type HclValue = string | number | boolean | null | UnknownValue | readonly HclValue[] | HclObject

/** Members may be computed when they are read, so that an unknown one disturbs nobody who does not ask for it. */
export interface HclObject {
  readonly [name: string]: HclValue
}

/** An object whose members are computed on first use. One that needs itself is unknown. */
export function lazyObject(members: Iterable<readonly [string, () => HclValue]>, at: HclPlace): HclObject {
  const object = Object.create(null) as HclObject
  for (const [name, compute] of members) {
    let state: { readonly value: HclValue } | 'computing' | undefined
    Object.defineProperty(object, name, {
      enumerable: true,
      configurable: true,
      get(): HclValue {
        if (state === 'computing') return new UnknownValue(`\`${name}\` refers to itself`, at)
        if (state === undefined) {
          state = 'computing'
          state = { value: compute() }
        }
        return state.value
      },
    })
  }
  return object
}

/** An object of known members. */
export function objectFrom(members: Iterable<readonly [string, HclValue]>): HclObject {
  const object = Object.create(null) as { [name: string]: HclValue }
  for (const [name, value] of members) object[name] = value
  return object
}

/** Whether a value is an object of HCL: no list, no text, nothing unknown. */
export function isObject(value: HclValue): value is HclObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof UnknownValue)
}

/** The value's members in the order in which Terraform goes through them; undefined for a value without any. */
export function membersOf(value: HclValue): (readonly [string | number, HclValue])[] | undefined {
  if (Array.isArray(value)) return (value as readonly HclValue[]).map((item, at) => [at, item] as const)
  if (!isObject(value)) return undefined
  return Object.keys(value)
    .sort()
    .map((name) => [name, value[name] ?? null] as const)
}

/** The first unknown in a value, at any depth. */
export function unknownIn(value: HclValue): UnknownValue | undefined {
  if (value instanceof UnknownValue) return value
  for (const [, member] of membersOf(value) ?? []) {
    const found = unknownIn(member)
    if (found !== undefined) return found
  }
  return undefined
}

/** As HCL converts a value to text; undefined for one that has none. */
export function textOfValue(value: HclValue): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined
}

/** As HCL converts a value to a number; undefined for one that is none. */
export function numberOfValue(value: HclValue): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value !== 'string' || value.trim() === '') return undefined
  const number = Number(value)
  return Number.isFinite(number) ? number : undefined
}

/** Whether there can be so many of something: nobody means to have more. */
export function isLength(count: number): boolean {
  return Number.isSafeInteger(count) && count >= 0 && count <= 100_000
}

/** Whether two values are equal in HCL: of one type, member for member. */
export function equalValues(a: HclValue, b: HclValue): boolean {
  const [left, right] = [membersOf(a), membersOf(b)]
  if (left === undefined || right === undefined) return a === b
  return (
    left.length === right.length &&
    left.every(([key, value], at) => {
      const other = right[at]
      return other !== undefined && other[0] === key && equalValues(value, other[1])
    })
  )
}
