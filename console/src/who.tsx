// Who is signed in here, and what their role lets them do.

import type { JSX } from 'preact'
import type { OwnToken } from './api/shapes.ts'
import { formatDay, formatTime } from './ui/format.ts'
import { useResource } from './ui/resource.ts'

const MAY: Readonly<Record<OwnToken['role'], string>> = {
  viewer: 'You can look at everything and try rules. Changes need another role.',
  operator: 'You can look at everything and steer the lab: data centers, the clock, networks. Rules need an admin.',
  admin: 'You can change everything.',
}

export function WhoAmI(): JSX.Element | null {
  const who = useResource<OwnToken>('/lab/v1/token').value
  if (who === undefined) return null
  const end = who.expires_at === null ? undefined : Date.parse(who.expires_at)
  const until = end === undefined ? '' : ` Until ${formatDay(end)} ${formatTime(end)}.`
  return (
    <span class="chip wide-only" title={MAY[who.role] + until}>
      {who.name} ({who.role})
    </span>
  )
}
