// A panel at the side for one thing of many. A real dialog: Escape closes it, the keyboard stays inside, and goes back to where
// it was.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export interface DrawerProps {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
}

export function Drawer({ title, onClose, children }: DrawerProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    const element = dialog.current
    if (element !== null && !element.open) element.showModal()
    return () => {
      element?.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      class="drawer"
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onClick={({ target, currentTarget }) => {
        if (target === currentTarget) onClose()
      }}
    >
      <div class="drawer-inside">
        <header class="drawer-head">
          <h2>{title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </header>
        <div class="drawer-body">{children}</div>
      </div>
    </dialog>
  )
}
