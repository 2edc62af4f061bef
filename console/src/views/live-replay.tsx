// Plays the sessions this page knows once more, one after the other: on the map and in the list below it. Changes nothing.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Row } from '../api/shapes.ts'
import { type Route, routeKey, routeOf } from '../map/routes.ts'
import { formatTime } from '../ui/format.ts'

const STEP_MS = 300
/** Sessions that are on the map at one moment. */
const AT_ONCE = 12

/** `row`: the place of the last one that has been played, -1 before the first. */
export interface Played {
  readonly rows: readonly Row[]
  readonly row: number
}

/** The ways of the last sessions played, each once. */
export function routesPlayed({ rows, row }: Played): readonly Route[] {
  const last = rows.slice(Math.max(0, row + 1 - AT_ONCE), row + 1)
  return [...new Map(last.map((each) => [routeKey(each), { ...routeOf(each), open: 1 }] as const)).values()]
}

interface ReplayBarProps {
  readonly played: Played
  readonly onMove: (row: number) => void
  readonly onEnd: () => void
}

export function ReplayBar({ played: { rows, row }, onMove, onEnd }: ReplayBarProps): JSX.Element {
  const [isPlaying, setPlaying] = useState(!window.matchMedia('(prefers-reduced-motion: reduce)').matches)
  const isOver = row >= rows.length - 1
  useEffect(() => {
    if (!isPlaying || isOver) return undefined
    const timer = setTimeout(() => onMove(row + 1), STEP_MS)
    return () => clearTimeout(timer)
  }, [isPlaying, isOver, row, onMove])
  const current = rows[row]
  const toggle = () => {
    if (isOver) onMove(0)
    setPlaying(isOver || !isPlaying)
  }
  return (
    <div class="card card-body row replay" role="group" aria-label="Replay of sessions">
      <button type="button" class="small" onClick={toggle}>
        {isPlaying && !isOver ? 'Pause' : isOver ? 'Play again' : 'Play'}
      </button>
      <input
        type="range"
        class="grow"
        aria-label="Session"
        aria-valuetext={`${row + 1} of ${rows.length}`}
        min={0}
        max={Math.max(0, rows.length - 1)}
        value={Math.max(0, row)}
        onInput={({ currentTarget }) => {
          setPlaying(false)
          onMove(Number(currentTarget.value))
        }}
      />
      <span class="muted small replay-at">
        {current === undefined ? '' : `${formatTime(current.at)}, `}session {row + 1} of {rows.length}
      </span>
      <button type="button" class="small quiet" onClick={onEnd}>
        Back to live
      </button>
    </div>
  )
}
