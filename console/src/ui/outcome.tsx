// The outcome of a connection as a word, a shape and a colour, always all three.

import type { JSX } from 'preact'
import type { Outcome as Name, Row } from '../api/shapes.ts'

export type Tone = Name | 'failed'

export const OUTCOME_WORDS: Readonly<Record<Tone, string>> = {
  dedicated: 'dedicated',
  'dedicated-fallback': 'fallback',
  balanced: 'balanced',
  default: 'shared',
  exempt: 'exempt',
  unroutable: 'unroutable',
  failed: 'failed',
}

export const OUTCOME_MEANINGS: Readonly<Record<Tone, string>> = {
  dedicated: 'a rule chose a dedicated IP',
  'dedicated-fallback': "the rule's first choice is down, its fallback was used",
  balanced: 'no rule matched; a dedicated IP was chosen by distance',
  default: 'shared egress at the data center nearest the user',
  exempt: 'egress rules do not apply',
  unroutable: 'no usable egress IP; refused',
  failed: 'the connection failed',
}

/** A connection that never got through counts as failed, whatever had been decided. */
export function toneOf({ outcome, error, egress, open }: Pick<Row, 'outcome' | 'error' | 'egress' | 'open'>): Tone {
  if (outcome === 'unroutable') return 'unroutable'
  if (outcome === '') return 'failed'
  const neverThrough = !open && error !== null && !error.code.startsWith('relay.')
  return neverThrough || egress === '' ? 'failed' : outcome
}

export function OutcomeBadge({ tone }: { readonly tone: Tone }): JSX.Element {
  return (
    <span class={`outcome tone-${tone}`} title={OUTCOME_MEANINGS[tone]}>
      <OutcomeShape tone={tone} />
      {OUTCOME_WORDS[tone]}
    </span>
  )
}

/** What the destination's allowlist makes of it; nothing where it has none. */
export function LetIn({ row: { let_in: letIn } }: { readonly row: Pick<Row, 'let_in'> }): JSX.Element | null {
  if (letIn === null) return null
  return <span class={letIn ? 'let-in' : 'let-out'}> {letIn ? '✓ in' : '✕ refused'}</span>
}

export function OutcomeShape({ tone }: { readonly tone: Tone }): JSX.Element {
  return (
    <svg viewBox="0 0 10 10" aria-hidden="true" focusable="false">
      {SHAPES[tone]}
    </svg>
  )
}

const SHAPES: Readonly<Record<Tone, JSX.Element>> = {
  dedicated: <circle cx="5" cy="5" r="4.5" fill="currentColor" />,
  'dedicated-fallback': (
    <g>
      <circle cx="5" cy="5" r="3.8" fill="none" stroke="currentColor" stroke-width="1.4" />
      <path d="M5 .8a4.2 4.2 0 0 1 0 8.400z" fill="currentColor" />
    </g>
  ),
  balanced: <path d="M5 0 10 5 5 10 0 5z" fill="currentColor" />,
  default: <circle cx="5" cy="5" r="3.8" fill="none" stroke="currentColor" stroke-width="1.6" />,
  exempt: <path d="M1 .5 9.500 5 1 9.500z" fill="currentColor" />,
  unroutable: <path d="M1.200 1.200l7.600 7.600M8.800 1.200l-7.600 7.600" stroke="currentColor" stroke-width="2" />,
  failed: <path d="M1.200 1.200l7.600 7.600M8.800 1.200l-7.600 7.600" stroke="currentColor" stroke-width="2" />,
}
