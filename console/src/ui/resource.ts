// Something asked of the lab: loading, there, or failed, and asked again when the lab says that it changed. What was there
// stays in view meanwhile.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ApiFailure, ask } from '../api/request.ts'
import { changes } from '../live/traffic.ts'

export interface Resource<T> {
  readonly value: T | undefined
  readonly failure: ApiFailure | undefined
  readonly reload: () => void
}

/** GETs `path`, again after every change of the lab's state and, where given, every so often. */
export function useResource<T>(path: string, { everyMs }: { everyMs?: number } = {}): Resource<T> {
  const [state, setState] = useState<{ path: string; value?: T; failure?: ApiFailure }>({ path })
  const latest = useRef(0)
  const reload = useCallback(() => {
    const turn = ++latest.current
    ask<T>('GET', path).then(
      (value) => {
        if (turn === latest.current) setState({ path, value })
      },
      (thrown: unknown) => {
        if (turn !== latest.current || !(thrown instanceof ApiFailure)) return
        setState((before) => ({ ...(before.path === path ? before : { path }), failure: thrown }))
      },
    )
  }, [path])

  const seen = changes.value
  useEffect(reload, [reload, seen])
  useEffect(() => {
    if (everyMs === undefined) return undefined
    const timer = setInterval(reload, everyMs)
    return () => clearInterval(timer)
  }, [reload, everyMs])
  const { value, failure } = state.path === path ? state : { value: undefined, failure: undefined }
  return { value, failure, reload }
}

/** `/client/v4/accounts/{id}` of the lab's one account, once it is known. */
export function useAccountPath(): Pick<Resource<string>, 'value' | 'failure'> {
  const { value, failure } = useResource<readonly { readonly id: string }[]>('/client/v4/accounts')
  const id = value?.[0]?.id
  return { value: id === undefined ? undefined : `/client/v4/accounts/${id}`, failure }
}
