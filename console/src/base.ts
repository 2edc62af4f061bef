// Where the lab is in the browser's address: `/egresslab` behind a proxy that serves it below a path, else ''. Everything on the
// console names paths of the lab as the lab knows them; this puts the rest in front.

import { options } from 'preact'

const BASE = (document.querySelector<HTMLMetaElement>('meta[name="base"]')?.content ?? '/').replace(/\/$/, '')

/** The address of a path of the lab. */
export function urlOf(path: string): string {
  return path.startsWith('/') ? BASE + path : path
}

/** The lab's own path of an address in the browser. */
export function pathOf(address: string): string {
  if (BASE === '' || (address !== BASE && !address.startsWith(`${BASE}/`))) return address
  return address.slice(BASE.length) || '/'
}

/** From now on links that are drawn may name paths of the lab. */
export function followBase(): void {
  const before = options.vnode
  options.vnode = (vnode) => {
    const props: object & { href?: unknown } = vnode.props
    if (vnode.type === 'a' && typeof props.href === 'string') props.href = urlOf(props.href)
    before?.(vnode)
  }
}
