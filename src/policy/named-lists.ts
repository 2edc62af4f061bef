// The account's lists in the form expressions ask them (`in $id`). Contents are prepared once per version of a list, so changing one
// list among many costs only that one.

import { canonicalListName, type KnownContents, listContents } from '../expression/index.ts'
import type { NamedList } from './account.ts'

export type KnownLists = ReadonlyMap<string, KnownContents>

/** Contents by canonical list name. */
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
