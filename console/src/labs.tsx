// The way to other labs on this host: those whose console this browser has opened lately. Each leaves a cookie with its port, the
// path it is below and its name, since cookies know no ports; the proxy never passes it on. Nothing is shown where there is one lab only, or where the browser
// lets no page keep a cookie (plain HTTP to another machine).

import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import type { Account } from './api/shapes.ts'
import { urlOf } from './base.ts'
import { useResource } from './ui/resource.ts'

const PREFIX = 'egresslab_lab_'
const KEPT_MS = 12 * 60 * 60 * 1000
/** A port, if any, and a path: what cannot lead to another host. */
const PLACE = /^(:\d+)?\/([^/\\].*)?$/

interface KnownLab {
  /** `:8090/`, `/egresslab/` behind a proxy on the scheme's own port */
  readonly at: string
  readonly name: string
}

const OWN = `${window.location.port === '' ? '' : `:${window.location.port}`}${urlOf('/')}`

export function LabSwitcher(): JSX.Element | null {
  const name = useResource<Account>('/lab/v1/account').value?.name
  useEffect(() => {
    if (name === undefined || !window.isSecureContext) return
    const expires = Date.now() + KEPT_MS
    const cookie = { name: PREFIX + encodeURIComponent(OWN), value: encodeURIComponent(name) }
    void cookieStore.set({ ...cookie, expires, sameSite: 'strict' })
  }, [name])
  const others = knownLabs().filter(({ at }) => at !== OWN)
  if (name === undefined || others.length === 0) return null
  const all = [{ at: OWN, name }, ...others]
  return (
    <label class="field lab-switcher">
      <span class="hidden-label">Lab</span>
      <select
        value={OWN}
        onChange={({ currentTarget }) => {
          window.location.href = `${window.location.protocol}//${window.location.hostname}${currentTarget.value}`
        }}
      >
        {all.map(({ at, name: words }) => (
          <option key={at} value={at}>
            {words} {at === '/' ? at : at.replace(/\/$/, '')}
          </option>
        ))}
      </select>
    </label>
  )
}

function knownLabs(): KnownLab[] {
  return document.cookie.split('; ').flatMap((pair) => {
    const [, written = '', value = ''] = /^egresslab_lab_([^=]+)=(.*)$/.exec(pair) ?? []
    const at = readable(written)
    return PLACE.test(at) ? [{ at, name: readable(value) }] : []
  })
}

function readable(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
