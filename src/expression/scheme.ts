// What an expression may refer to: fields with types and slots. The language defines no field itself.

import type { ValueType } from './value.ts'

export interface Field {
  readonly name: string
  readonly type: ValueType
  /** index into FieldValues */
  readonly slot: number
}

export interface Scheme {
  readonly fields: ReadonlyMap<string, Field>
  /** value types for which `in $name` is allowed */
  readonly listTypes: ReadonlySet<'Int' | 'Bytes' | 'Ip'>
  /** result of `!=` on a missing value ([L10]; default true) */
  readonly missingNotEqual: boolean
  /** other spellings of `field[*]` (compatibility note [C4]): `identity.groups[*].name` → `identity.groups.name` */
  readonly objectArrays: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** arrays of `key=value` texts, which people write with quotes inside ([C6]) */
  readonly pairTexts: ReadonlySet<string>
  /** for unknown names: a hint of one clause where the name belongs or what to write instead; undefined for none */
  readonly adviseUnknown?: (name: string) => string | undefined
}

export interface SchemeOptions {
  readonly listTypes?: readonly ('Int' | 'Bytes' | 'Ip')[]
  readonly missingNotEqual?: boolean
  readonly objectArrays?: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly pairTexts?: readonly string[]
  readonly adviseUnknown?: (name: string) => string | undefined
}

/** Creates a scheme of these fields; slots follow the order of the entries. Throws RangeError for a name the grammar
 *  cannot express. */
export function createScheme(fields: Readonly<Record<string, ValueType>>, options: SchemeOptions = {}): Scheme {
  const entries = Object.entries(fields).map(([name, type], slot) => {
    if (!/^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$/.test(name) || name.startsWith('not')) {
      throw new RangeError(`\`${name}\` cannot be a field name`)
    }
    return [name, Object.freeze({ name, type, slot })] as const
  })
  const aliases = Object.entries(options.objectArrays ?? {}).map(
    ([name, members]) => [name, new Map(Object.entries(members))] as const,
  )
  return Object.freeze({
    fields: new Map(entries),
    listTypes: new Set(options.listTypes ?? (['Int', 'Bytes', 'Ip'] as const)),
    missingNotEqual: options.missingNotEqual ?? true,
    objectArrays: new Map(aliases),
    pairTexts: new Set(options.pairTexts),
    ...(options.adviseUnknown === undefined ? {} : { adviseUnknown: options.adviseUnknown }),
  })
}
