// The documented verification as a button: real requests through the proxy, and the addresses that sites saw.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Person, Verification } from '../api/shapes.ts'
import { sentence } from '../ui/format.ts'
import { useNames } from '../ui/names.ts'
import { Notice } from '../ui/notice.tsx'
import { useResource } from '../ui/resource.ts'
import { SelectField } from '../ui/select.tsx'
import { VerifiedAnswers } from '../ui/verified-answers.tsx'
import { ForRole } from '../who.tsx'

export function VerifyForm(): JSX.Element {
  const users = useResource<Person[]>('/lab/v1/users').value ?? []
  const { networks } = useNames()
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
        <h2 id="verify-title">Which address do sites really see?</h2>
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
          <ForRole needs="operator">
            <button type="submit" class="primary" disabled={busy || user === ''}>
              {busy ? 'Asking …' : 'Verify'}
            </button>
          </ForRole>
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
