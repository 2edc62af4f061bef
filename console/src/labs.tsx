// The way to other labs on this host: those whose console this browser has opened lately. Each leaves a cookie with its port and
// name, since cookies know no ports; the proxy never passes it on. Nothing is shown where there is one lab only, or where the browser
// lets no page keep a cookie (plain HTTP to another machine).

import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import type { Account } from './api/shapes.ts'
import { useResource } from './ui/resource.ts'

const PREFIX = 'egresslab_lab_'
const KEPT_MS = 12 * 60 * 60 * 1000

interface OtherLab {
  readonly port: string
  readonly name: string
}

export function LabSwitcher(): JSX.Element | null {
  const name = useResource<Account>('/lab/v1/account').value?.name
  const own = window.location.port
  useEffect(() => {
    if (name === undefined || own === '' || !window.isSecureContext) return
    const expires = Date.now() + KEPT_MS
    void cookieStore.set({ name: PREFIX + own, value: encodeURIComponent(name), expires, sameSite: 'strict' })
  }, [name, own])
  const others = knownLabs().filter(({ port }) => port !== own)
  if (name === undefined || others.length === 0) return null
  const all = [{ port: own, name }, ...others]
  return (
    <label class="field lab-switcher">
      <span class="hidden-label">Lab</span>
      <select
        value={own}
        onChange={({ currentTarget }) => {
          window.location.href = `${window.location.protocol}//${window.location.hostname}:${currentTarget.value}/`
        }}
      >
        {all.map(({ port, name: words }) => (
          <option key={port} value={port}>
            {words} :{port}
          </option>
        ))}
      </select>
    </label>
  )
}

function knownLabs(): OtherLab[] {
  return document.cookie.split('; ').flatMap((pair) => {
    const [, port, value = ''] = /^egresslab_lab_(\d+)=(.*)$/.exec(pair) ?? []
    return port === undefined ? [] : [{ port, name: readable(value) }]
  })
}

function readable(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
