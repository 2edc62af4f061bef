// What a person's own client offers: who they are, which addresses they leave from, and the choice of a virtual network. Uses their
// proxy credentials, which stay in this page's memory.

import type { JSX } from 'preact'
import { useCallback, useEffect, useState } from 'preact/hooks'
import { ApiFailure, ask, wordsOf } from '../api/request.ts'
import type { Me, Network, Verification } from '../api/shapes.ts'
import iconUrl from '../icon.svg?no-inline'
import { sentence } from '../ui/format.ts'
import { Loading, Notice } from '../ui/notice.tsx'
import { ThemeButton } from '../ui/theme-button.tsx'
import { VerifiedAnswers } from '../ui/verified-answers.tsx'

export function MePage(): JSX.Element {
  const [authorization, setAuthorization] = useState<string>()
  const [me, setMe] = useState<Me>()
  const enter = (credentials: string, who: Me) => {
    setAuthorization(credentials)
    setMe(who)
  }
  return (
    <main class="gate me">
      <div class="card stack">
        <div class="row spread keep">
          <h1 class="row">
            <img src={iconUrl} alt="" width="28" height="28" />
            Your virtual network
          </h1>
          <ThemeButton />
        </div>
        {authorization === undefined || me === undefined ? (
          <Door onEnter={enter} />
        ) : (
          <Choice
            authorization={authorization}
            me={me}
            onMe={setMe}
            onLeave={() => {
              setAuthorization(undefined)
              setMe(undefined)
            }}
          />
        )}
      </div>
    </main>
  )
}

function basic(email: string, password: string): string {
  const bytes = new TextEncoder().encode(`${email}:${password}`)
  return `Basic ${btoa(String.fromCharCode(...bytes))}`
}

function Door({ onEnter }: { readonly onEnter: (authorization: string, me: Me) => void }): JSX.Element {
  const [failure, setFailure] = useState<string>()
  const [busy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (!(event.currentTarget instanceof HTMLFormElement)) return
    const form = new FormData(event.currentTarget)
    const authorization = basic(String(form.get('email')), String(form.get('password')))
    setBusy(true)
    setFailure(undefined)
    try {
      onEnter(authorization, await ask<Me>('GET', '/lab/v1/me', { authorization }))
    } catch (thrown) {
      const wrong = thrown instanceof ApiFailure && thrown.status === 401
      setFailure(wrong ? 'Wrong email or password.' : sentence(wordsOf(thrown)))
    } finally {
      setBusy(false)
    }
  }
  return (
    <form class="stack" onSubmit={submit}>
      <p class="muted">It determines your egress IP. Sign in with your proxy credentials.</p>
      <label class="field">
        <span>Email</span>
        <input type="email" name="email" autoComplete="username" required />
      </label>
      <label class="field">
        <span>Proxy password</span>
        <input type="password" name="password" autoComplete="current-password" required />
      </label>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <button type="submit" class="primary" disabled={busy}>
        Show my choices
      </button>
    </form>
  )
}

interface ChoiceProps {
  readonly authorization: string
  readonly me: Me
  readonly onMe: (me: Me) => void
  readonly onLeave: () => void
}

function Choice({ authorization, me, onMe, onLeave }: ChoiceProps): JSX.Element {
  const [failure, setFailure] = useState<string>()
  const { result, verify } = useVerification(authorization)
  const choose = async (network: Network) => {
    setFailure(undefined)
    try {
      onMe(await ask<Me>('PUT', '/lab/v1/me/virtual-network', { authorization, body: { virtual_network: network.id } }))
      verify()
    } catch (thrown) {
      setFailure(sentence(wordsOf(thrown)))
    }
  }
  const where = [me.place?.city, me.place?.country].filter((part) => part !== undefined).join(', ')
  return (
    <>
      <div class="row spread">
        <p>
          <strong>{me.name === '' ? me.email : me.name}</strong>
          <br />
          <span class="muted">
            {me.email}
            {where === '' ? '' : ` · ${where}`}
          </span>
        </p>
        <button type="button" class="quiet small" onClick={onLeave}>
          Not you?
        </button>
      </div>
      <section class="stack tight" aria-live="polite" aria-label="Your egress addresses">
        <div class="row spread">
          <h2>You leave from</h2>
          <button type="button" class="small" onClick={verify}>
            Check again
          </button>
        </div>
        {result === undefined && <Loading what="your addresses" />}
        {result !== undefined && typeof result === 'string' && <Notice kind="bad">{result}</Notice>}
        {result !== undefined && typeof result !== 'string' && <VerifiedAnswers answers={result.answers} />}
      </section>
      <fieldset class="networks">
        <legend>Virtual network</legend>
        {me.virtual_networks.map((network) => (
          <label key={network.id} class="network">
            <input
              type="radio"
              name="network"
              checked={network.id === me.virtual_network.id}
              onChange={() => void choose(network)}
            />
            <span>
              <strong>{network.name}</strong>
              {network.is_default && network.name !== 'default' && <span class="chip">default</span>}
              <br />
              <span class="muted small">{network.comment}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <p class="small muted">New connections use it; open connections keep their address.</p>
    </>
  )
}

/** The answers, or what went wrong; undefined while asking. */
function useVerification(authorization: string) {
  const [result, setResult] = useState<Verification | string>()
  const verify = useCallback(() => {
    setResult(undefined)
    ask<Verification>('POST', '/lab/v1/me/verify', { authorization, body: {} }).then(setResult, (thrown: unknown) =>
      setResult(sentence(wordsOf(thrown))),
    )
  }, [authorization])
  useEffect(verify, [verify])
  return { result, verify }
}
