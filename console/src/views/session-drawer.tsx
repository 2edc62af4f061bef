// One session: where it left and why, in words first, then step by step, then everything that was recorded.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Json, Row, SessionDetail } from '../api/shapes.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { Drawer } from '../ui/drawer.tsx'
import { Why } from '../ui/explanation.tsx'
import { formatBytes, formatDate, formatDuration, sentence } from '../ui/format.ts'
import { Notice, Waiting } from '../ui/notice.tsx'
import { useResource } from '../ui/resource.ts'
import { policyTestFile } from '../ui/yaml.ts'
import { ForRole } from '../who.tsx'

const REFRESH_MS = 2000

export function SessionDrawer({ id, onClose }: { readonly id: string; readonly onClose: () => void }): JSX.Element {
  const detail = useResource<SessionDetail>(`/lab/v1/sessions/${encodeURIComponent(id)}`, { everyMs: REFRESH_MS })
  const { value } = detail
  const title = value === undefined || value.row.target === '' ? 'Session' : value.row.target
  return (
    <Drawer title={title} onClose={onClose}>
      {value === undefined && <Waiting for={detail} what="the session" />}
      {value !== undefined && <Story detail={value} />}
    </Drawer>
  )
}

function Story({ detail }: { readonly detail: SessionDetail }): JSX.Element {
  const { row, explanation, policy, policy_test: test, record } = detail
  return (
    <div class="stack">
      {row.error !== null && (
        <Notice kind="bad">
          {sentence(row.error.message)} <code>{row.error.code}</code>
        </Notice>
      )}
      {row.let_in !== null && (
        <Notice kind={row.let_in ? 'good' : 'bad'}>
          The destination’s allowlist {row.let_in ? 'lets in' : 'refuses'} {row.egress === '' ? 'this' : row.egress}.
        </Notice>
      )}
      {explanation !== null && <Why explanation={explanation} />}
      {explanation === null && <p>{sentence(row.reason)}</p>}
      {policy?.current === false && (
        <p class="small muted">Decided by the policy of revision {policy.revision}; it has changed since.</p>
      )}
      <Facts row={row} />
      {row.open && <CloseButton id={row.id} />}
      {test !== null && (
        <section class="stack tight">
          <div class="row spread">
            <h3>As a policy test</h3>
            <CopyButton text={policyTestFile(test, 'lab.yaml')}>Copy YAML</CopyButton>
          </div>
          <pre class="block">{policyTestFile(test, 'lab.yaml')}</pre>
          <p class="small muted">
            Save it beside the configuration and run <code>npx egresslab test</code> on it.
          </p>
        </section>
      )}
      {record !== null && <Record record={record} />}
    </div>
  )
}

function Facts({ row }: { readonly row: Row }): JSX.Element {
  return (
    <dl class="facts">
      <dt>User</dt>
      <dd>
        {row.user === '' ? 'nobody' : row.user}
        {row.user_place !== '' && <span class="muted"> in {row.user_place}</span>}
      </dd>
      <dt>Virtual network</dt>
      <dd>{row.vnet === '' ? '–' : row.vnet}</dd>
      <dt>Destination</dt>
      <dd class="mono">{row.origin === '' ? '–' : row.origin}</dd>
      <dt>Came by</dt>
      <dd>
        {row.protocol} on listener {row.listener}
        {row.member !== '' && ` of member ${row.member}`}
      </dd>
      <dt>Began</dt>
      <dd>{formatDate(row.at)}</dd>
      <dt>{row.open ? 'Open for' : 'Took'}</dt>
      <dd>
        {formatDuration(row.ms)}
        {row.close !== '' && <span class="muted"> {row.close}</span>}
      </dd>
      <dt>Data</dt>
      <dd>
        {formatBytes(row.received)} received, {formatBytes(row.sent)} sent
      </dd>
    </dl>
  )
}

function CloseButton({ id }: { readonly id: string }): JSX.Element {
  const [failure, setFailure] = useState<string>()
  const close = () =>
    ask('DELETE', `/lab/v1/sessions/${id}`).catch((thrown: unknown) => {
      setFailure(wordsOf(thrown))
    })
  return (
    <div class="row">
      <ForRole needs="operator">
        <button type="button" class="danger small" onClick={() => void close()}>
          Close this connection
        </button>
      </ForRole>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
    </div>
  )
}

function Record({ record }: { readonly record: Readonly<Record<string, Json>> }): JSX.Element {
  const known = Object.entries(record).filter(([name, value]) => name !== 'Lab' && value !== '' && value !== 0)
  return (
    <details>
      <summary>The whole session record</summary>
      <dl class="facts small">
        {known.map(([name, value]) => (
          <Entry key={name} name={name} value={value} />
        ))}
      </dl>
      <pre class="block">{JSON.stringify(record.Lab, null, 2)}</pre>
    </details>
  )
}

function Entry({ name, value }: { readonly name: string; readonly value: Json }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd class="mono">{String(value)}</dd>
    </>
  )
}
