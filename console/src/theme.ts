// Light, dark, or as the system has it; remembered in this browser. And how much room there is.

import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'

export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'egresslab-theme'
const system = window.matchMedia('(prefers-color-scheme: dark)')

export const theme = signal<Theme>(remembered())
/** Grows when the colours on the page changed, for those who paint by themselves. */
export const repaint = signal(0)

export function chooseTheme(wanted: Theme): void {
  theme.value = wanted
  try {
    localStorage.setItem(KEY, wanted)
  } catch {
    // a browser that keeps nothing: the choice holds as long as the page
  }
  apply()
}

/** Puts the theme on the page, now and when the system changes its mind. */
export function startTheme(): void {
  system.addEventListener('change', apply)
  apply()
}

function apply(): void {
  const dark = theme.value === 'dark' || (theme.value === 'auto' && system.matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
  repaint.value++
}

function remembered(): Theme {
  try {
    const kept = localStorage.getItem(KEY)
    return kept === 'light' || kept === 'dark' ? kept : 'auto'
  } catch {
    return 'auto'
  }
}

const narrowQuery = window.matchMedia('(max-width: 60rem)')

/** Whether the page is as narrow as a phone's or a small tablet's. */
export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(narrowQuery.matches)
  useEffect(() => {
    const tell = () => setNarrow(narrowQuery.matches)
    narrowQuery.addEventListener('change', tell)
    return () => narrowQuery.removeEventListener('change', tell)
  }, [])
  return narrow
}
