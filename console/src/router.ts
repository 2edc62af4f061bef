// Which view the address asks for. Addresses are plain paths, so that every view can be linked to, kept and shared.

import { signal } from '@preact/signals'
import { pathOf, urlOf } from './base.ts'

export const VIEWS = [
  { path: '/', title: 'Live' },
  { path: '/sessions', title: 'Sessions' },
  { path: '/rules', title: 'Rules' },
  { path: '/matrix', title: 'Matrix' },
  { path: '/explain', title: 'Explain' },
  { path: '/connect', title: 'Connect' },
  { path: '/account', title: 'Account' },
  { path: '/clock', title: 'Clock' },
  { path: '/history', title: 'History' },
  { path: '/fleet', title: 'Fleet' },
] as const

export const location = signal(current())

function current(): { readonly path: string; readonly query: URLSearchParams } {
  return { path: pathOf(window.location.pathname), query: new URLSearchParams(window.location.search) }
}

/** Goes to another view; `replace` leaves no step to go back to. */
export function navigate(to: string, { replace = false } = {}): void {
  const address = urlOf(to)
  if (replace) history.replaceState(null, '', address)
  else history.pushState(null, '', address)
  location.value = current()
  if (!replace) window.scrollTo(0, 0)
}

/** Lets plain clicks on the console's own links stay on the page. */
export function followLinks(): void {
  window.addEventListener('popstate', () => {
    location.value = current()
  })
  document.addEventListener('click', (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (link === null || link.origin !== window.location.origin || link.target !== '') return
    const wanted = pathOf(link.pathname)
    if (!VIEWS.some(({ path }) => path === wanted)) return
    event.preventDefault()
    navigate(wanted + link.search)
  })
}
