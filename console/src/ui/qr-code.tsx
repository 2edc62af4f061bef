// A QR code. The encoder is loaded when the first one is shown.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'

/** Modules of quiet around it, as readers want (ISO/IEC 18004). */
const QUIET = 4

export function QrCode({ text, label }: { readonly text: string; readonly label: string }): JSX.Element {
  const [drawn, setDrawn] = useState<{ readonly path: string; readonly size: number }>()
  useEffect(() => {
    let isWanted = true
    void draw(text).then((made) => {
      if (isWanted) setDrawn(made)
    })
    return () => {
      isWanted = false
    }
  }, [text])
  const size = (drawn?.size ?? 25) + 2 * QUIET
  return (
    <svg class="qr" viewBox={`${-QUIET} ${-QUIET} ${size} ${size}`} role="img" aria-label={label}>
      <rect x={-QUIET} y={-QUIET} width={size} height={size} fill="#fff" />
      {drawn !== undefined && <path d={drawn.path} fill="#000" />}
    </svg>
  )
}

/** Dark modules as squares of one unit. */
async function draw(text: string) {
  const { generate } = await import('lean-qr')
  const code = generate(text)
  const places = Array.from(
    { length: code.size ** 2 },
    (_, at) => [at % code.size, Math.floor(at / code.size)] as const,
  )
  const path = places.flatMap(([x, y]) => (code.get(x, y) ? [`M${x},${y}h1v1h-1z`] : [])).join('')
  return { path, size: code.size }
}
