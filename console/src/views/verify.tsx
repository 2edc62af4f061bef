// The documented verification as a button, and the test services with their allowlists: who would get in as things are.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Origin, Person, Verification } from '../api/shapes.ts'
import { sentence } from '../ui/explanation.tsx'
import { Empty, Loading, Notice } from '../ui/notice.tsx'
import { OutcomeBadge } from '../ui/outcome.tsx'
import { useResource } from '../ui/resource.ts'
import { SelectField } from '../ui/select.tsx'
import { VerifiedAnswers } from '../ui/verified-answers.tsx'
import { useNetworks } from './explain.tsx'

export function VerifyView(): JSX.Element {
  return (
    <>
      <div class="view-head">
        <h1>Verify</h1>
        <p class="muted">Real requests through the proxy, and which services admit them.</p>
      </div>
      <div class="verify-grid">
        <VerifyForm />
        <Origins />
      </div>
    </>
  )
}

function VerifyForm(): JSX.Element {
  const users = useResource<Person[]>('/lab/v1/users').value ?? []
  const networks = useNetworks()
  const [chosen, setUser] = useState('')
  const [vnet, setVnet] = useState('')
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [result, setResult] = useState<Verification>()
  const [failure, setFailure] = useState<string>()
  const user = chosen === '' ? (users[0]?.email ?? '') : chosen

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(undefined)
    try {
      const given = { user, ...(vnet === '' ? {} : { vnet }), ...(password === '' ? {} : { password }) }
      setResult(await ask<Verification>('POST', '/lab/v1/verify', { body: given }))
    } catch (thrown) {
      setResult(undefined)
      setFailure(sentence(wordsOf(thrown)))
    } finally {
      setBusy(false)
    }
  }

  return (
    <section class="card" aria-labelledby="verify-title">
      <header>
        <h2 id="verify-title">Which address do sites see?</h2>
      </header>
      <form class="card-body stack" onSubmit={submit}>
        <div class="fields">
          <SelectField label="As" value={user} options={users.map(({ email }) => [email, email])} onChange={setUser} />
          <SelectField
            label="Virtual network"
            value={vnet}
            options={[['', 'their own choice'], ...networks.map(({ name }) => [name, name] as const)]}
            onChange={setVnet}
          />
          <label class="field">
            <span>Password</span>
            <input
              type="password"
              autoComplete="off"
              placeholder="if the lab has only a hash"
              value={password}
              onInput={({ currentTarget }) => setPassword(currentTarget.value)}
            />
          </label>
        </div>
        <div>
          <button type="submit" class="primary" disabled={busy || user === ''}>
            {busy ? 'Asking …' : 'Verify'}
          </button>
        </div>
        {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
        {result !== undefined && (
          <div class="stack tight" role="status">
            <Notice kind={result.dedicated ? 'good' : 'warn'}>
              {result.dedicated
                ? `Sites see dedicated IPs of this account for ${result.user}.`
                : `Sites saw an address of ${result.user} that is not a dedicated IP.`}
            </Notice>
            <VerifiedAnswers answers={result.answers} />
          </div>
        )}
      </form>
    </section>
  )
}

function Origins(): JSX.Element {
  const { value, failure } = useResource<Origin[]>('/lab/v1/origins')
  if (value === undefined) {
    return failure === undefined ? (
      <Loading what="test origins" />
    ) : (
      <Notice kind="bad">{sentence(failure.message)}</Notice>
    )
  }
  const services = value.filter(({ allow }) => allow !== null)
  if (services.length === 0) {
    return (
      <div class="card">
        <Empty title="No service with an allowlist">
          <p>Add a destination with an origin of kind saas to the configuration.</p>
        </Empty>
      </div>
    )
  }
  return (
    <div class="stack">
      {services.map((service) => (
        <Service key={service.name} service={service} />
      ))}
    </div>
  )
}

function Service({ service }: { readonly service: Origin }): JSX.Element {
  return (
    <section class="card" aria-label={service.title}>
      <header>
        <h2>{service.title}</h2>
        <span class="muted mono small">{service.name}</span>
      </header>
      <div class="card-body stack">
        <p class="row">
          <span class="muted">lets in</span>
          {(service.allow ?? []).map((address) => (
            <span key={address} class="chip mono">
              {address}
            </span>
          ))}
        </p>
        <ul class="visitors">
          {service.visitors.map((visitor) => (
            <li key={visitor.user}>
              <span class={visitor.let_in ? 'verdict good' : 'verdict bad'}>
                {visitor.let_in ? '✓ in' : '✕ refused'}
              </span>
              <span class="visitor-who">
                <strong>{visitor.user.replace(/@.*$/, '')}</strong> <span class="muted">{visitor.vnet}</span>
              </span>
              <span class="mono">{visitor.egress ?? '–'}</span>
              {visitor.outcome !== '' && <OutcomeBadge tone={visitor.outcome} />}
              <a
                class="small"
                href={`/explain?destination=${encodeURIComponent(`https://${service.name}/`)}&user=${encodeURIComponent(visitor.user)}`}
                aria-label={`why ${visitor.user} leaves from there`}
              >
                why?
              </a>
            </li>
          ))}
        </ul>
      </div>
    </section>
  )
}
