// Editing one rule: problems while typing, the effect on the last sessions before saving.

import type { JSX } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { ApiFailure, ask, wordsOf } from '../api/request.ts'
import type {
  Account,
  Difference,
  EgressSettings,
  Origin,
  Preview,
  Problem,
  ReplayOutcome,
  Rule,
} from '../api/shapes.ts'
import { Drawer } from '../ui/drawer.tsx'
import { plural, sentence } from '../ui/format.ts'
import { Notice } from '../ui/notice.tsx'
import { OutcomeBadge } from '../ui/outcome.tsx'
import { useResource } from '../ui/resource.ts'
import { SelectField, TextField } from '../ui/select.tsx'
import { ForRole } from '../who.tsx'
import { ExpressionEditor } from './expression-editor.tsx'
import { RuleBuilder } from './rule-builder.tsx'
import { type RuleDraft, replacementOf, replaceRule } from './rule-changes.ts'
import type { Vocabulary } from './vocabulary.ts'

const TYPING_MS = 200
const SHARED = '0.0.0.0'

export interface RuleEditorProps {
  readonly path: string
  /** undefined: a new one */
  readonly rule: Rule | undefined
  readonly nextPrecedence: number
  /** without hosts */
  readonly known: Omit<Vocabulary, 'hosts'>
  /** list id → its type */
  readonly listTypes: ReadonlyMap<string, string>
  readonly onClose: () => void
}

export function RuleEditor(props: RuleEditorProps): JSX.Element {
  const { path, rule, nextPrecedence, listTypes, onClose } = props
  // asked for here: the lab works out who is let in there
  const origins = useResource<Origin[]>('/lab/v1/origins').value
  const known = useMemo(
    () => ({ ...props.known, hosts: (origins ?? []).map(({ name }) => name).sort() }),
    [props.known, origins],
  )
  const [draft, setDraft] = useState<RuleDraft>(rule ?? blank(nextPrecedence))
  const [failure, setFailure] = useState<string>()
  const [busy, setBusy] = useState(false)
  const body = JSON.stringify({
    id: rule?.id ?? null,
    rule: { ...replacementOf(draft), name: draft.name === '' ? 'new rule' : draft.name },
  })
  const preview = usePreview(body)
  const problems = preview?.problems ?? []
  const of = (field: string) => problems.filter((problem) => problem.field === field)
  const set = (change: Partial<RuleDraft>) => setDraft({ ...draft, ...change })

  const attempt = async (action: () => Promise<unknown>) => {
    setBusy(true)
    setFailure(undefined)
    try {
      await action()
      onClose()
    } catch (thrown) {
      setFailure(sentence(wordsOf(thrown)))
    } finally {
      setBusy(false)
    }
  }
  const save = (event: SubmitEvent) => {
    event.preventDefault()
    void attempt(() =>
      rule === undefined ? ask('POST', path, { body: replacementOf(draft) }) : replaceRule(path, rule, draft),
    )
  }

  return (
    <Drawer title={rule === undefined ? 'New rule' : `Edit ${rule.name}`} onClose={onClose}>
      <form class="stack" onSubmit={save}>
        <div class="fields">
          <TextField label="Name" value={draft.name} required onInput={(name) => set({ name })} />
          <TextField
            label="Precedence"
            inputMode="numeric"
            value={String(draft.precedence)}
            onInput={(text) => set({ precedence: Number.parseInt(text, 10) || 0 })}
          />
        </div>
        <RuleBuilder known={known} listTypes={listTypes} onWrite={set} />
        <ExpressionEditor
          label="Traffic"
          slot="traffic"
          known={known}
          value={draft.traffic}
          placeholder="any traffic"
          problems={of('traffic')}
          onInput={(traffic) => set({ traffic })}
        />
        <ExpressionEditor
          label="Identity"
          slot="identity"
          known={known}
          value={draft.identity}
          placeholder="anybody"
          problems={of('identity')}
          onInput={(identity) => set({ identity })}
        />
        <ExpressionEditor
          label="Device posture"
          slot="device_posture"
          known={known}
          value={draft.device_posture}
          placeholder="any device"
          problems={of('device_posture')}
          onInput={(text) => set({ device_posture: text })}
        />
        <EgressFields draft={draft} set={set} />
        <label class="row">
          <input
            type="checkbox"
            checked={draft.enabled}
            onChange={({ currentTarget }) => set({ enabled: currentTarget.checked })}
          />
          Enabled
        </label>
        <OtherProblems problems={problems.filter(({ field }) => field === null)} />
        <Effect preview={preview} />
        <ProvenEffect body={body} />
        {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
        <div class="row">
          <ForRole needs="admin">
            <button
              type="submit"
              class="primary"
              disabled={busy || problems.some(({ severity }) => severity === 'error')}
            >
              Save
            </button>
          </ForRole>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          {rule !== undefined && (
            <ForRole needs="admin">
              <button
                type="button"
                class="danger"
                disabled={busy}
                onClick={() => void attempt(() => ask('DELETE', `${path}/${rule.id}`))}
              >
                Delete
              </button>
            </ForRole>
          )}
        </div>
      </form>
    </Drawer>
  )
}

function blank(precedence: number): RuleDraft {
  return {
    name: '',
    description: '',
    enabled: true,
    precedence,
    traffic: '',
    identity: '',
    device_posture: '',
    rule_settings: null,
  }
}

/** Asked again a moment after the last key. */
function usePreview(body: string): Preview | undefined {
  const [preview, setPreview] = useState<Preview>()
  useEffect(() => {
    const leave = new AbortController()
    const timer = setTimeout(() => {
      ask<Preview>('POST', '/lab/v1/rules/preview', { body: JSON.parse(body), signal: leave.signal }).then(
        setPreview,
        (thrown: unknown) => {
          if (!(thrown instanceof ApiFailure)) return
          const problem = {
            severity: 'error',
            code: 'api',
            message: thrown.message,
            hint: null,
            field: null,
            span: null,
          } as const
          setPreview({ problems: [problem], replay: null })
        },
      )
    }, TYPING_MS)
    return () => {
      clearTimeout(timer)
      leave.abort()
    }
  }, [body])
  return preview
}

interface EgressFieldsProps {
  readonly draft: RuleDraft
  readonly set: (change: Partial<RuleDraft>) => void
}

function EgressFields({ draft, set }: EgressFieldsProps): JSX.Element {
  const owned = useResource<Account>('/lab/v1/account').value?.dedicated_ips ?? []
  const egress = draft.rule_settings?.egress ?? {}
  const change = (next: EgressSettings) => set({ rule_settings: { egress: next } })
  const addresses = owned.flatMap(({ ipv4, colo, geolocation }) =>
    ipv4 === null ? [] : [[ipv4, `${ipv4}, ${geolocation.city ?? colo}`] as const],
  )
  const choose = (ipv4: string) => {
    const ipv6 = owned.find((each) => each.ipv4 === ipv4)?.ipv6
    if (ipv4 === '') set({ rule_settings: null })
    else {
      // what was the fallback and becomes the first choice leaves its place to the former first choice
      const swapped = egress.ipv4_fallback === ipv4 && egress.ipv4 !== undefined ? { ipv4_fallback: egress.ipv4 } : {}
      change({ ...egress, ...swapped, ipv4, ...(ipv6 === null || ipv6 === undefined ? {} : { ipv6 }) })
    }
  }
  const fallback = (ipv4_fallback: string) => {
    const { ipv4_fallback: _before, ...rest } = egress
    change(ipv4_fallback === '' ? rest : { ...rest, ipv4_fallback })
  }
  return (
    <div class="fields">
      <SelectField
        label="Leaves from"
        value={egress.ipv4 ?? ''}
        options={[['', 'shared egress'], ...addresses]}
        onChange={choose}
      />
      {egress.ipv4 !== undefined && (
        <>
          <SelectField
            label="While that is down"
            value={egress.ipv4_fallback ?? ''}
            options={[
              ['', 'refuse (no fallback)'],
              [SHARED, 'shared egress'],
              ...addresses.filter(([address]) => address !== egress.ipv4),
            ]}
            onChange={fallback}
          />
          <SelectField
            label="IPv6 range"
            value={egress.ipv6 ?? ''}
            options={owned.flatMap(({ ipv6, colo }) => (ipv6 === null ? [] : [[ipv6, `${ipv6}, ${colo}`] as const]))}
            onChange={(ipv6) => change({ ...egress, ipv6 })}
          />
        </>
      )}
    </div>
  )
}

function OtherProblems({ problems }: { readonly problems: readonly Problem[] }): JSX.Element {
  return (
    <>
      {problems.map(({ severity, code, message, hint }) => (
        <Notice
          key={`${code}${message}`}
          kind={severity === 'error' ? 'bad' : severity === 'warning' ? 'warn' : 'plain'}
        >
          {sentence(message)} {hint !== null && <span class="muted">{sentence(hint)}</span>}
        </Notice>
      ))}
    </>
  )
}

const MOST_SHOWN = 8

/** What the last sessions would have become. */
function Effect({ preview }: { readonly preview: Preview | undefined }): JSX.Element | null {
  const replay = preview?.replay
  if (replay === undefined || replay === null) return null
  if (replay.sessions === 0) return <Notice>No sessions to try it on yet. Send some traffic first.</Notice>
  if (replay.changed === 0)
    return <Notice kind="good">None of the last {plural(replay.sessions, 'session')} would change.</Notice>
  return (
    <section class="effect" aria-label="Effect on recorded sessions">
      <h3>
        {replay.changed.toLocaleString('en')} of the last {plural(replay.sessions, 'session')} would change
      </h3>
      <ul>
        {replay.changes.slice(0, MOST_SHOWN).map(({ id, user, target, before, after }) => (
          <li key={id}>
            <span class="effect-who">
              {user === '' ? 'nobody' : user.replace(/@.*$/, '')} → {target}
            </span>
            <Side outcome={before} />
            <span aria-hidden="true">→</span>
            <Side outcome={after} />
          </li>
        ))}
      </ul>
      {replay.changed > MOST_SHOWN && (
        <p class="small muted">and {plural(replay.changed - MOST_SHOWN, 'more', 'more')}</p>
      )}
    </section>
  )
}

/** On request, for every connection there can be: which ones saving would move, proven. */
function ProvenEffect({ body }: { readonly body: string }): JSX.Element {
  const [told, setTold] = useState<{ readonly body: string; readonly answer?: Difference; readonly failure?: string }>()
  const [busy, setBusy] = useState(false)
  const prove = async () => {
    setBusy(true)
    try {
      const answer = await ask<Difference>('POST', '/lab/v1/rules/difference', { body: JSON.parse(body) })
      setTold({ body, answer })
    } catch (thrown) {
      setTold({ body, failure: wordsOf(thrown) })
    } finally {
      setBusy(false)
    }
  }
  const { answer, failure } = told?.body === body ? told : {}
  return (
    <>
      <ForRole needs="operator">
        <button type="button" disabled={busy} onClick={() => void prove()}>
          {busy ? 'Proving…' : 'Prove which connections it moves'}
        </button>
      </ForRole>
      {failure !== undefined && <Notice kind="bad">{sentence(failure)}</Notice>}
      {answer !== undefined && <Regions answer={answer} />}
    </>
  )
}

function Regions({ answer: { problems, difference } }: { readonly answer: Difference }): JSX.Element {
  if (difference === null) return <OtherProblems problems={problems.filter(({ severity }) => severity === 'error')} />
  const { same, reason, regions } = difference
  if (same === true) return <Notice kind="good">Proven: it moves no connection.</Notice>
  return (
    <section class="effect" aria-label="Connections it moves">
      <h3>{same === false ? 'Proven: it moves exactly these connections' : 'It moves these connections at least'}</h3>
      <ul>
        {regions.map(({ before, after, condition, while_down: down, while_up: up }) => (
          <li key={`${condition} ${before.egress} ${down.join()} ${up.join()}`}>
            {condition === null ? <span class="small muted">not told in the time</span> : <code>{condition}</code>}
            <code>{before.egress}</code>
            <span aria-hidden="true">→</span>
            <code>{after.egress}</code>
            {down.length > 0 && (
              <span class="small muted">
                while {down.join(', ')} {down.length === 1 ? 'is' : 'are'} down
              </span>
            )}
          </li>
        ))}
      </ul>
      {same === null && <p class="small muted">{sentence(`not everything is decided: ${reason}`)}</p>}
    </section>
  )
}

function Side({ outcome }: { readonly outcome: ReplayOutcome }): JSX.Element {
  return (
    <span class="row">
      <code>{outcome.egress ?? 'refused'}</code>
      <OutcomeBadge tone={outcome.outcome} />
    </span>
  )
}
