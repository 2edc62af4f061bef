// The account's lists as expressions read them (`in $id`). Contents are prepared once per version of a list, so
// changing one of many lists prepares only that one.

import { canonicalListName, type KnownContents, listContents } from '../expression/index.ts'
import type { NamedList } from './account.ts'

export type KnownLists = ReadonlyMap<string, KnownContents>

/** Contents by canonical list name ([R14]). */
export function createLists(lists: readonly NamedList[]): KnownLists {
  return new Map(lists.map((list) => [canonicalListName(list.id), contentsOf(list)] as const))
}

const known = new WeakMap<NamedList, KnownContents>()

function contentsOf(list: NamedList): KnownContents {
  const before = known.get(list)
  if (before !== undefined) return before
  const made = listContents(list.type, list.items)
  known.set(list, made)
  return made
}
