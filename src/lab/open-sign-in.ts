// Wires signing in by a page: the proxy's side at the listeners of every thread, the page's side at the API, one shared memory.

import type { LabConfig } from '../config/lab-config.ts'
import { consoleUrl } from '../config/read-api.ts'
import { createSignIn, createSignInMemory, RETURN_PATH, SESSION_MS, type SignIn } from '../identity/sign-in.ts'
import { OWN_NAME } from '../inbound/own-pages.ts'
import type { SignInService } from '../inbound/sign-in.ts'

/** What another thread needs to take part. */
export interface SharedSignIn {
  readonly memory: SharedArrayBuffer
  /** the page's URL */
  readonly page: string
}

export interface OpenedSignIn {
  /** for this thread's listeners */
  readonly proxy: SignInService
  /** for the page at the API */
  readonly page: SignIn & { readonly seconds: number }
  /** for other threads; once the API listens */
  shared(): SharedSignIn
}

/** Undefined where no listener has a sign-in page. `apiPort`: the port the API really has. */
export function openSignIn(
  { listeners, api }: LabConfig,
  { apiPort, now }: { readonly apiPort: () => number; readonly now: () => number },
): OpenedSignIn | undefined {
  if (!listeners.some(({ endpoint }) => endpoint?.signIn === 'page')) return undefined
  const memory = createSignInMemory()
  const page = () => `${consoleUrl(api, apiPort())}/authorize`
  const signIn = createSignIn({ memory, page: pageFor(page), now })
  return {
    proxy: proxySideOf(signIn),
    page: { ...signIn, seconds: SESSION_MS / 1000 },
    shared: () => ({ memory, page: page() }),
  }
}

/** The proxy's side in another thread. */
export function joinSignIn({ memory, page }: SharedSignIn, now: () => number): SignInService {
  return proxySideOf(createSignIn({ memory, page: pageFor(() => page), now }))
}

/** A page at a loopback address is no use to a browser on another machine: it asks the proxy, by the name that only the proxy knows. */
function pageFor(page: () => string): (peer: string) => string {
  return (peer) => {
    const at = page()
    const isLocal = isLoopback(peer) || !isLoopback(new URL(at).hostname.replace(/^\[|\]$/g, ''))
    return isLocal ? at : `http://${OWN_NAME}/authorize`
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function proxySideOf(signIn: SignIn): SignInService {
  return { ...signIn, returnPath: RETURN_PATH, seconds: SESSION_MS / 1000 }
}
