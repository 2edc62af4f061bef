// A list that may be as long as it likes: only what is in view exists. Arrow keys, Page Up and Down, Home and End move through
// it, Enter opens. New rows on top do not move what is being read.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

export interface VirtualRowsProps<T extends { readonly id: string }> {
  readonly rows: readonly T[]
  readonly label: string
  readonly head: ComponentChildren
  readonly columns: number
  /** height of a row in rem */
  readonly rowRem: number
  readonly selected: string | undefined
  readonly onOpen: (row: T) => void
  readonly render: (row: T) => ComponentChildren
  readonly rowClass?: (row: T) => string
}

const SPARE_ROWS = 6

export function VirtualRows<T extends { readonly id: string }>(props: VirtualRowsProps<T>): JSX.Element {
  const { rows, label, head, columns, rowRem, selected, onOpen, render, rowClass } = props
  const frame = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ top: 0, height: 600 })
  const [active, setActive] = useState<string>()
  const rowPx = Math.round(rowRem * useRem())
  useLayoutEffect(() => watchHeight(frame.current, (height) => setView((before) => ({ ...before, height }))), [])
  useKeepPlace(frame, rows, rowPx)

  const first = Math.max(0, Math.floor(view.top / rowPx) - SPARE_ROWS)
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / rowPx) + SPARE_ROWS)
  const activeAt = active === undefined ? -1 : rows.findIndex(({ id }) => id === active)

  const go = (to: number) => {
    const at = Math.max(0, Math.min(rows.length - 1, to))
    const row = rows[at]
    const element = frame.current
    if (row === undefined || element === null) return
    setActive(row.id)
    const headPx = element.querySelector<HTMLElement>('.rows-head')?.offsetHeight ?? 0
    if (at * rowPx < element.scrollTop) element.scrollTop = at * rowPx
    const bottom = (at + 1) * rowPx + headPx
    if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(view.height / rowPx) - 1)
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: activeAt + 1,
      ArrowUp: activeAt - 1,
      PageDown: activeAt + page,
      PageUp: activeAt - page,
      Home: 0,
      End: rows.length - 1,
    }
    const to = moves[event.key]
    const row = rows[activeAt]
    if (to !== undefined) go(to)
    else if ((event.key === 'Enter' || event.key === ' ') && row !== undefined) onOpen(row)
    else return
    event.preventDefault()
  }

  return (
    <div
      class="rows"
      ref={frame}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns}
      aria-activedescendant={activeAt >= first && activeAt < last ? `row-${active}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={({ currentTarget }) => setView((before) => ({ ...before, top: currentTarget.scrollTop }))}
    >
      <div role="rowgroup" class="rows-head">
        <div role="row" class="rows-row" aria-rowindex={1}>
          {head}
        </div>
      </div>
      <div role="rowgroup" class="rows-body" style={{ height: `${rows.length * rowPx}px` }}>
        {rows.slice(first, last).map((row, offset) => (
          <div
            key={row.id}
            id={`row-${row.id}`}
            role="row"
            aria-rowindex={first + offset + 2}
            aria-selected={row.id === selected}
            class={`rows-row ${row.id === active ? 'active' : ''} ${rowClass?.(row) ?? ''}`}
            style={{ transform: `translateY(${(first + offset) * rowPx}px)`, height: `${rowPx}px` }}
            onClick={() => {
              setActive(row.id)
              onOpen(row)
            }}
          >
            {render(row)}
          </div>
        ))}
      </div>
    </div>
  )
}

function watchHeight(element: HTMLElement | null, tell: (height: number) => void): (() => void) | undefined {
  if (element === null) return undefined
  const observer = new ResizeObserver(() => tell(element.clientHeight))
  observer.observe(element)
  return () => observer.disconnect()
}

/** Pixels per rem; asked for once per size of the window, as asking makes the browser work out styles. */
function useRem(): number {
  const [rem, setRem] = useState(readRem)
  useEffect(() => {
    const tell = () => setRem(readRem())
    window.addEventListener('resize', tell)
    return () => window.removeEventListener('resize', tell)
  }, [])
  return rem
}

function readRem(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
}

/** Scrolls along with rows that come in above, unless the top is what is being watched. */
function useKeepPlace(
  frame: { readonly current: HTMLElement | null },
  rows: readonly { readonly id: string }[],
  rowPx: number,
): void {
  const top = useRef<string | undefined>(undefined)
  useEffect(() => {
    const element = frame.current
    const before = top.current
    top.current = rows[0]?.id
    if (element === null || before === undefined || element.scrollTop < rowPx) return
    const added = rows.findIndex(({ id }) => id === before)
    if (added > 0) element.scrollTop += added * rowPx
  }, [frame, rows, rowPx])
}
