// Names of what rules compare by id: lists, virtual networks, posture checks.

import { useMemo } from 'preact/hooks'
import { useAccountPath, useResource } from './resource.ts'

interface Listed {
  readonly id: string
  readonly name: string
}

/** Ids → names; empty until they are known. */
export type Names = ReadonlyMap<string, string>

export interface NamedResources {
  readonly networks: readonly Listed[]
  readonly lists: readonly (Listed & { readonly type: string })[]
  readonly checks: readonly Listed[]
  readonly names: Names
}

const NOTHING: readonly never[] = []

export function useNames(): NamedResources {
  const account = useAccountPath().value
  // the list of accounts is asked for until there is one
  const below = (path: string) => (account === undefined ? '/client/v4/accounts' : account + path)
  const found = [
    useResource<NamedResources['networks']>(below('/teamnet/virtual_networks?is_deleted=false')).value,
    useResource<NamedResources['lists']>(below('/gateway/lists')).value,
    useResource<NamedResources['checks']>(below('/devices/posture')).value,
  ] as const
  const [networks, lists, checks] = account === undefined ? [] : found
  return useMemo(() => {
    const [one, two, three] = [networks ?? NOTHING, lists ?? NOTHING, checks ?? NOTHING]
    const names = new Map([...one, ...two, ...three].map(({ id, name }) => [id, name] as const))
    return { networks: one, lists: two, checks: three, names }
  }, [networks, lists, checks])
}

/** The text with names in the place of ids. */
export function withNames(text: string, names: Names): string {
  let named = text
  for (const [id, name] of names) named = named.replaceAll(id, name)
  return named
}
