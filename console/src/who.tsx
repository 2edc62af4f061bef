// Who is signed in here, and what their role lets them do.

import { signal } from '@preact/signals'
import type { ComponentChildren, JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import type { OwnToken } from './api/shapes.ts'
import { formatDay, formatTime } from './ui/format.ts'
import { useResource } from './ui/resource.ts'

const MAY: Readonly<Record<OwnToken['role'], string>> = {
  viewer: 'You can look at everything and try rules. Changes need another role.',
  operator: 'You can look at everything and steer the lab: data centers, the clock, networks. Rules need an admin.',
  admin: 'You can change everything.',
}

const ORDER = ['viewer', 'operator', 'admin'] as const

/** As the head of the page has found out, for everything below it. */
const signedIn = signal<OwnToken | undefined>(undefined)

/** Why somebody may not do what this role may; undefined: they may, or it is not known yet. The API judges, whatever is shown here. */
export function useRefusal(needed: 'operator' | 'admin'): string | undefined {
  const who = signedIn.value
  if (who === undefined || ORDER.indexOf(who.role) >= ORDER.indexOf(needed)) return undefined
  return `This needs an ${needed}.`
}

/** Controls that only this role may use: for others they are there, disabled, with the reason. */
export function ForRole({
  needs,
  children,
}: {
  readonly needs: 'operator' | 'admin'
  readonly children: ComponentChildren
}): JSX.Element {
  const refusal = useRefusal(needs)
  return (
    <fieldset class="for-role" disabled={refusal !== undefined} title={refusal}>
      {refusal !== undefined && <legend class="sr-only">{refusal}</legend>}
      {children}
    </fieldset>
  )
}

export function WhoAmI(): JSX.Element | null {
  const who = useResource<OwnToken>('/lab/v1/token').value
  useEffect(() => {
    signedIn.value = who
  }, [who])
  if (who === undefined) return null
  const end = who.expires_at === null ? undefined : Date.parse(who.expires_at)
  const until = end === undefined ? '' : ` Until ${formatDay(end)} ${formatTime(end)}.`
  return (
    <span class="chip wide-only" title={MAY[who.role] + until}>
      {who.name} ({who.role})
    </span>
  )
}
