// Goes through the themes: as the system has it, light, dark.

import type { JSX } from 'preact'
import { chooseTheme, type Theme, theme } from '../theme.ts'

const NEXT: Readonly<Record<Theme, Theme>> = { auto: 'light', light: 'dark', dark: 'auto' }
const MARKS: Readonly<Record<Theme, string>> = { auto: '◐', light: '○', dark: '●' }

export function ThemeButton(): JSX.Element {
  const now = theme.value
  const words = `Theme: ${now}. Change to ${NEXT[now]}`
  return (
    <button type="button" class="quiet" aria-label={words} title={words} onClick={() => chooseTheme(NEXT[now])}>
      <span aria-hidden="true">{MARKS[now]}</span>
    </button>
  )
}
