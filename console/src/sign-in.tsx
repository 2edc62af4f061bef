// The door: the token the lab printed once, traded for a cookie.

import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiFailure, ask, hasEnded, LOGIN, signIn, wordsOf } from './api/request.ts'
import type { WaysIn } from './api/shapes.ts'
import iconUrl from './icon.svg?no-inline'
import { location } from './router.ts'
import { sentence } from './ui/format.ts'
import { Notice } from './ui/notice.tsx'

export function SignIn(): JSX.Element {
  const [failure, setFailure] = useState<string>()
  const [busy, setBusy] = useState(false)
  const [provider, setProvider] = useState<string | null>(null)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  useEffect(() => {
    ask<WaysIn>('GET', LOGIN).then(
      (ways) => setProvider(ways.provider),
      (thrown: unknown) => setFailure(sentence(wordsOf(thrown))),
    )
  }, [])

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (!(event.currentTarget instanceof HTMLFormElement)) return
    const token = String(new FormData(event.currentTarget).get('token') ?? '')
    setBusy(true)
    setFailure(undefined)
    try {
      await signIn(token)
    } catch (thrown) {
      const wrong = thrown instanceof ApiFailure && thrown.status === 401
      setFailure(wrong ? 'This is not the token of this lab.' : sentence(wordsOf(thrown)))
    } finally {
      setBusy(false)
    }
  }

  return (
    <main class="gate">
      <div class="card stack">
        <h1 class="row">
          <img src={iconUrl} alt="" width="28" height="28" />
          egresslab
        </h1>
        <p class="muted">See where every connection leaves, and steer it.</p>
        {hasEnded.value && (
          <Notice kind="warn">
            You are signed out: the token has expired or was revoked, or the lab was started anew without what it knew.
          </Notice>
        )}
        {provider !== null && <ProviderButton provider={provider} />}
        <form class="stack" onSubmit={submit}>
          <input type="text" name="username" autoComplete="username" value="egresslab" hidden readOnly />
          <label class="field">
            <span>API token</span>
            <input
              ref={field}
              type="password"
              name="token"
              required
              autoComplete="current-password"
              spellcheck={false}
            />
          </label>
          {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
          <button type="submit" class="primary" disabled={busy}>
            Sign in
          </button>
        </form>
        <p class="small muted">
          The lab keeps it in <code>.egresslab/api-token</code>. To choose your own virtual network you need no token:{' '}
          <a href="/me">your proxy password</a> is enough.
        </p>
      </div>
    </main>
  )
}

function ProviderButton({ provider }: { readonly provider: string }): JSX.Element {
  const { path, query } = location.value
  const to = encodeURIComponent(query.size === 0 ? path : `${path}?${query}`)
  return (
    <>
      <a class="button primary" href={`/lab/v1/sign-in?to=${to}`}>
        Sign in with {provider}
      </a>
      <p class="small muted">Or with a token:</p>
    </>
  )
}
