// One session: where it left and why, in words first, then everything that is known.

import type { JSX } from 'preact'
import { findRow, version } from '../live/session-store.ts'
import { Drawer } from '../ui/drawer.tsx'
import { formatBytes, formatDate, formatDuration } from '../ui/format.ts'
import { Notice } from '../ui/notice.tsx'
import { OutcomeBadge, toneOf } from '../ui/outcome.tsx'

export function SessionDrawer({ id, onClose }: { readonly id: string; readonly onClose: () => void }): JSX.Element {
  const row = version.value < 0 ? undefined : findRow(id)
  if (row === undefined) {
    return (
      <Drawer title="Session" onClose={onClose}>
        <Notice>This session is no longer in memory; the session log has it.</Notice>
      </Drawer>
    )
  }
  return (
    <Drawer title={row.target === '' ? 'Session' : row.target} onClose={onClose}>
      <div class="stack">
        <p class="row">
          <OutcomeBadge tone={toneOf(row)} />
          <strong class="mono">{row.egress}</strong>
        </p>
        <p>{row.reason}</p>
        <dl class="facts">
          <dt>User</dt>
          <dd>{row.user}</dd>
          <dt>Began</dt>
          <dd>{formatDate(row.at)}</dd>
          <dt>Took</dt>
          <dd>{row.open ? 'open' : formatDuration(row.ms)}</dd>
          <dt>Data</dt>
          <dd>
            {formatBytes(row.received)} in, {formatBytes(row.sent)} out
          </dd>
        </dl>
      </div>
    </Drawer>
  )
}
