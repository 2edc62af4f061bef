// The names that a configuration defines, collected before anything is read, so that a reference can be checked even if
// the section it points into has errors of its own.

import { didYouMean } from '../errors/did-you-mean.ts'
import type { Problems } from './problems.ts'
import type { DocumentPath } from './source-document.ts'
import { stableUuid } from './stable-id.ts'

/** The kinds of things that references name. `words` completes "there is no … `x`". */
const KINDS = {
  users: { words: 'user', key: 'email', kind: 'user' },
  devices: { words: 'device', key: 'name', kind: 'device' },
  virtual_networks: { words: 'virtual network', key: 'name', kind: 'virtual-network' },
  tunnels: { words: 'tunnel', key: 'name', kind: 'tunnel' },
  groups: { words: 'group', key: 'name', kind: 'group' },
  posture_checks: { words: 'posture check', key: 'name', kind: 'posture-check' },
} as const

export type ReferenceKind = keyof typeof KINDS

export interface Names {
  /** The id of a thing by its name or id; records a problem and returns `undefined` if there is none. */
  idOf(kind: ReferenceKind, nameOrId: string, path: DocumentPath, problems: Problems): string | undefined
  /** The id of a thing that is known to exist. */
  ownId(kind: ReferenceKind, thing: { readonly id?: string | undefined; readonly name: string }): string
  has(kind: ReferenceKind, nameOrId: string): boolean
}

/** Collects names from data that may not have the right shape. Names are compared ignoring letter case. */
export function gatherNames(data: unknown): Names {
  const tables = new Map<ReferenceKind, { ids: Map<string, string>; shown: string[] }>()
  for (const section of Object.keys(KINDS) as ReferenceKind[]) tables.set(section, tableOf(section, data))
  const find = (kind: ReferenceKind, nameOrId: string) => tables.get(kind)?.ids.get(nameOrId.toLowerCase())
  return {
    has: (kind, nameOrId) => find(kind, nameOrId) !== undefined,
    ownId: (kind, { id, name }) => id?.toLowerCase() ?? stableUuid(KINDS[kind].kind, name.toLowerCase()),
    idOf(kind, nameOrId, path, problems) {
      const id = find(kind, nameOrId)
      if (id !== undefined) return id
      const { shown } = tables.get(kind) ?? { shown: [] }
      const hint = didYouMean(nameOrId, shown, 'there are') ?? `the section \`${kind}\` has none`
      problems.add(path, 'config.unknown_name', `there is no ${KINDS[kind].words} \`${nameOrId}\``, { hint })
      return undefined
    },
  }
}

function tableOf(section: ReferenceKind, data: unknown) {
  const { key, kind } = KINDS[section]
  const ids = new Map<string, string>()
  const shown: string[] = []
  const list: unknown = Object(data)[section]
  for (const item of Array.isArray(list) ? list : []) {
    const name: unknown = Object(item)[key]
    if (typeof name !== 'string') continue
    const given: unknown = Object(item).id
    const id = typeof given === 'string' ? given.toLowerCase() : stableUuid(kind, name.toLowerCase())
    shown.push(name)
    ids.set(id, id)
    ids.set(name.toLowerCase(), id)
  }
  if (section === 'virtual_networks' && !hasDefault(list)) {
    shown.push('default')
    ids.set('default', stableUuid(kind, 'default'))
  }
  return { ids, shown }
}

function hasDefault(list: unknown): boolean {
  const isDefault = (item: unknown) => Object(item).default === true || Object(item).name === 'default'
  return Array.isArray(list) && list.some(isDefault)
}
