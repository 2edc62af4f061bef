// Small standing messages, and what is shown while there is nothing else to show.

import type { ComponentChildren, JSX } from 'preact'
import { sentence } from './format.ts'
import type { Resource } from './resource.ts'

export type NoticeKind = 'plain' | 'good' | 'warn' | 'bad'

const MARKS: Readonly<Record<NoticeKind, string>> = { plain: 'i', good: '✓', warn: '!', bad: '✕' }

export function Notice({ kind = 'plain', children }: { kind?: NoticeKind; children: ComponentChildren }): JSX.Element {
  return (
    <div class={`notice ${kind}`} role={kind === 'bad' ? 'alert' : undefined}>
      <span aria-hidden="true">{MARKS[kind]}</span>
      <div>{children}</div>
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children}
    </div>
  )
}

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <div class="skeleton" role="status">
      <span />
      <span />
      <span />
      <div class="hidden-label">loading {what}</div>
    </div>
  )
}

/** In the place of what has been asked for and is not there yet, or could not be had. */
export function Waiting({
  for: { failure },
  what,
}: {
  for: Pick<Resource<unknown>, 'failure'>
  what: string
}): JSX.Element {
  return failure === undefined ? <Loading what={what} /> : <Notice kind="bad">{sentence(failure.message)}</Notice>
}
