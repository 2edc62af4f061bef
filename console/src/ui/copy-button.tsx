// Copies a text and says that it did; where the browser forbids it the text stays to be marked by hand.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'

export function CopyButton({ text, children }: { readonly text: string; readonly children: string }): JSX.Element {
  const [said, setSaid] = useState('')
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setSaid('Copied')
    } catch {
      setSaid('Select and copy it manually')
    }
    setTimeout(() => setSaid(''), 2500)
  }
  return (
    <span class="row">
      <button type="button" class="small" onClick={() => void copy()}>
        {children}
      </button>
      <span role="status" class="small muted">
        {said}
      </span>
    </span>
  )
}
