// The types of what resources of Cloudflare's provider have, converted as Terraform converts: numbers and booleans where texts
// are meant, and texts that are numbers. What cannot be converted is named; members that are not here are as they are.

import type { Json, JsonObject } from '../../config/lab-state.ts'
import type { Issue } from '../../errors/issue.ts'

/** A value of a wrong type, and where it is: names of members and numbers of items. */
export interface Misfit {
  readonly path: readonly (string | number)[]
  /** a clause: ``has to be a whole number, and is "abc"`` */
  readonly what: string
}

type Type = 'text' | 'whole number' | 'boolean' | 'object' | { readonly list: readonly [Type, ...Type[]] } | Members
interface Members {
  readonly members: Readonly<Record<string, Type>>
}

const EGRESS: Type = { members: { ipv4: 'text', ipv6: 'text', ipv4_fallback: 'text' } }
const ITEM: Type = { members: { value: 'text', description: 'text' } }

/** By the part of a policy. */
const TYPES = {
  rule: {
    members: {
      name: 'text',
      description: 'text',
      enabled: 'boolean',
      precedence: 'whole number',
      action: 'text',
      filters: { list: ['text'] },
      traffic: 'text',
      identity: 'text',
      device_posture: 'text',
      rule_settings: { members: { egress: EGRESS } },
      schedule: 'object',
      expiration: 'object',
    },
  },
  list: {
    members: {
      name: 'text',
      type: 'text',
      description: 'text',
      items: { list: [ITEM, 'text'] },
      items_with_description: { list: [ITEM] },
    },
  },
  'virtual network': {
    members: { name: 'text', comment: 'text', is_default: 'boolean', is_default_network: 'boolean' },
  },
} satisfies Record<string, Members>

/** The values with the types they are meant to have, and those that cannot have them. */
export function asTyped(
  part: keyof typeof TYPES,
  values: JsonObject,
): { readonly values: JsonObject; readonly misfits: readonly Misfit[] } {
  const misfits: Misfit[] = []
  return { values: Object(typed(TYPES[part], values, [], misfits)) as JsonObject, misfits }
}

/** The members that the provider has for a part of a policy, as far as a policy has them. */
export function membersOfPart(part: keyof typeof TYPES): readonly string[] {
  return Object.keys(TYPES[part].members)
}

function typed(type: Type, value: Json, path: Misfit['path'], misfits: Misfit[]): Json {
  if (value === null) return null
  const found = converted(type, value, path, misfits)
  if (found !== undefined) return found
  misfits.push({ path, what: `has to be ${describe(type)}, and is ${shown(value)}` })
  return null
}

function converted(type: Type, value: Json, path: Misfit['path'], misfits: Misfit[]): Json | undefined {
  if (type === 'text') return typeof value === 'object' ? undefined : String(value)
  if (type === 'whole number') {
    const number = typeof value === 'string' ? Number(value.trim() || Number.NaN) : value
    return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined
  }
  if (type === 'boolean')
    return value === 'true' || (value === 'false' ? false : typeof value === 'boolean' ? value : undefined)
  if (type === 'object') return typeof value === 'object' ? value : undefined
  if ('list' in type) {
    if (!Array.isArray(value)) return undefined
    return value.map((item: Json, at) => {
      const own = type.list.find((one) => (typeof one === 'object') === (typeof item === 'object'))
      return typed(own ?? type.list[0], item, [...path, at], misfits)
    })
  }
  // a block of version 4 is a list of one
  if (Array.isArray(value)) return value.map((item: Json, at) => typed(type, item, [...path, at], misfits))
  if (typeof value !== 'object' || value === null) return undefined
  const members = Object.entries(value).map(([name, member]): [string, Json] => {
    const own = Object.hasOwn(type.members, name) ? type.members[name] : undefined
    return [name, own === undefined ? member : typed(own, member, [...path, name], misfits)]
  })
  return Object.fromEntries(members)
}

const IN_WORDS = {
  text: 'a text',
  'whole number': 'a whole number',
  boolean: '`true` or `false`',
  object: 'an object or a block',
}

function describe(type: Type): string {
  if (typeof type === 'string') return IN_WORDS[type]
  return 'list' in type ? 'a list' : IN_WORDS.object
}

function shown(value: Json): string {
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `\`${JSON.stringify(value)}\``
}

/** `of`: what has the value. */
export function misfitIssue({ path, what }: Misfit, of: string): Issue {
  const name = path
    .map((step, at) => (typeof step === 'number' ? `[${step}]` : `${at === 0 ? '' : '.'}${step}`))
    .join('')
  return { severity: 'error', code: 'rules.wrong_type', message: `\`${name}\` of ${of} ${what}` }
}
