// The rules in the order they are asked, each with what it did and what is to be said of it.

import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { wordsOf } from '../api/request.ts'
import type { Check, Health, Rule, RuleCount } from '../api/shapes.ts'
import { version } from '../live/session-store.ts'
import { moveRule, replaceRule, rulesPath } from '../rules/rule-changes.ts'
import { RuleEditor } from '../rules/rule-editor.tsx'
import { sentence } from '../ui/explanation.tsx'
import { Expression, type Mark } from '../ui/expression.tsx'
import { formatDate, plural } from '../ui/format.ts'
import { Empty, Loading, Notice } from '../ui/notice.tsx'
import { useResource } from '../ui/resource.ts'

const COUNT_MS = 2000
const SLOTS = [
  ['traffic', 'Traffic'],
  ['identity', 'Identity'],
  ['device_posture', 'Device'],
] as const

export function RulesView(): JSX.Element {
  const accountId = useResource<readonly { readonly id: string }[]>('/client/v4/accounts').value?.[0]?.id
  return accountId === undefined ? <Loading what="rules" /> : <Rules path={rulesPath(accountId)} />
}

function Rules({ path }: { readonly path: string }): JSX.Element {
  const rules = useResource<Rule[]>(path)
  const checks = useResource<Check[]>('/lab/v1/checks').value ?? []
  const counts = useResource<RuleCount[]>('/lab/v1/counters', { everyMs: COUNT_MS }).value ?? []
  const names = useNames(path)
  const isReadOnly = useResource<Health>('/lab/v1/health').value?.rules_from === 'file'
  const [editing, setEditing] = useState<Rule | 'new'>()
  const [failure, setFailure] = useState<string>()
  const ordered = useMemo(
    () =>
      (rules.value ?? [])
        .filter(({ filters }) => filters.includes('egress'))
        .sort((a, b) => a.precedence - b.precedence),
    [rules.value],
  )
  const others = (rules.value ?? []).length - ordered.length
  const attempt = (action: Promise<unknown>) => {
    setFailure(undefined)
    action.then(rules.reload, (thrown: unknown) => {
      setFailure(sentence(wordsOf(thrown)))
      rules.reload()
    })
  }
  const largest = Math.max(0, ...(rules.value ?? []).map(({ precedence }) => precedence))

  return (
    <>
      <div class="view-head">
        <h1>Rules</h1>
        <p class="muted">The first enabled rule that matches decides.</p>
        {!isReadOnly && (
          <button type="button" class="primary push" onClick={() => setEditing('new')}>
            New rule
          </button>
        )}
      </div>
      {isReadOnly && <Notice>The rules come from the configuration file: change them there.</Notice>}
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      {rules.value === undefined && rules.failure === undefined && <Loading what="rules" />}
      {rules.failure !== undefined && <Notice kind="bad">{sentence(rules.failure.message)}</Notice>}
      {rules.value !== undefined && ordered.length === 0 && (
        <div class="card">
          <Empty title="No egress rules">
            <p>All traffic is balanced over the dedicated IPs.</p>
          </Empty>
        </div>
      )}
      <ol class="rules">
        {ordered.map((rule, at) => (
          <RuleCard
            key={rule.id}
            rule={rule}
            count={counts.find((count) => count.rule === rule.id)}
            checks={checks.filter((check) => check.rule === rule.id)}
            names={names}
            isReadOnly={isReadOnly}
            isFirst={at === 0}
            isLast={at === ordered.length - 1}
            onToggle={() => attempt(replaceRule(path, rule, { ...rule, enabled: !rule.enabled }))}
            onMove={(step) => attempt(moveRule(path, ordered, rule, step))}
            onEdit={() => setEditing(rule)}
          />
        ))}
      </ol>
      <General checks={checks.filter(({ rule }) => rule === null)} others={others} />
      {editing !== undefined && (
        <RuleEditor
          path={path}
          rule={editing === 'new' ? undefined : editing}
          nextPrecedence={largest + 1000}
          onClose={() => {
            setEditing(undefined)
            rules.reload()
          }}
        />
      )}
    </>
  )
}

interface RuleCardProps {
  readonly rule: Rule
  readonly count: RuleCount | undefined
  readonly checks: readonly Check[]
  readonly names: Names
  readonly isReadOnly: boolean
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly onToggle: () => void
  readonly onMove: (step: -1 | 1) => void
  readonly onEdit: () => void
}

function RuleCard(props: RuleCardProps): JSX.Element {
  const { rule, checks, names, isReadOnly, onToggle } = props
  return (
    <li class={`card rule ${rule.enabled ? '' : 'off'}`}>
      <div class="rule-head">
        <span class="chip" title="precedence">
          {rule.precedence}
        </span>
        <h2>{rule.name}</h2>
        <Hits rule={rule} count={props.count} />
        <button
          type="button"
          role="switch"
          class="switch"
          aria-checked={rule.enabled}
          aria-label={`${rule.name} enabled`}
          disabled={isReadOnly}
          onClick={onToggle}
        >
          {rule.enabled ? 'on' : 'off'}
        </button>
        {!isReadOnly && <RuleActions {...props} />}
      </div>
      {(rule.description ?? '') !== '' && <p class="muted small">{rule.description}</p>}
      <dl class="rule-body">
        {SLOTS.map(([slot, words]) =>
          rule[slot] === '' ? null : (
            <Slot
              key={slot}
              words={words}
              names={names}
              text={rule[slot]}
              checks={checks.filter(({ field }) => field === slot)}
            />
          ),
        )}
        <dt>Leaves from</dt>
        <dd>
          <Egress rule={rule} />
        </dd>
      </dl>
      <Said checks={checks} />
    </li>
  )
}

/** Errors and warnings stand in the open, advice behind a word. */
function Said({ checks }: { readonly checks: readonly Check[] }): JSX.Element {
  const advice = checks.filter(({ severity }) => severity === 'advice')
  return (
    <>
      {checks
        .filter(({ severity }) => severity !== 'advice')
        .map((check) => (
          <Notice key={`${check.code}${check.message}`} kind={check.severity === 'error' ? 'bad' : 'warn'}>
            <Words check={check} />
          </Notice>
        ))}
      {advice.length > 0 && (
        <details class="small">
          <summary class="muted">{plural(advice.length, 'piece of advice', 'pieces of advice')}</summary>
          {advice.map((check) => (
            <p key={`${check.code}${check.message}`}>
              <Words check={check} />
            </p>
          ))}
        </details>
      )}
    </>
  )
}

function Words({ check: { message, why, hint } }: { readonly check: Check }): JSX.Element {
  return (
    <>
      {sentence(message)} {why !== null && why !== undefined && <span class="muted">{sentence(why)}</span>}{' '}
      {hint !== null && <span class="muted">{sentence(hint)}</span>}
    </>
  )
}

function RuleActions({ rule, isFirst, isLast, onMove, onEdit }: RuleCardProps): JSX.Element {
  return (
    <span class="row">
      <button
        type="button"
        class="small"
        disabled={isFirst}
        aria-label={`Move ${rule.name} up`}
        title="Move up"
        onClick={() => onMove(-1)}
      >
        ↑
      </button>
      <button
        type="button"
        class="small"
        disabled={isLast}
        aria-label={`Move ${rule.name} down`}
        title="Move down"
        onClick={() => onMove(1)}
      >
        ↓
      </button>
      <button type="button" class="small" aria-label={`Edit ${rule.name}`} onClick={onEdit}>
        Edit
      </button>
    </span>
  )
}

function Hits({ rule, count }: { readonly rule: Rule; readonly count: RuleCount | undefined }): JSX.Element {
  const sessions = count?.sessions ?? 0
  const last = count?.last_used ?? null
  const words = version.value < 0 || last === null ? '' : `, last ${formatDate(Date.parse(last))}`
  return (
    <span class="hits small">
      {sessions === 0 ? (
        'decided no session yet'
      ) : (
        <a href={`/sessions?rule=${encodeURIComponent(rule.name)}`}>
          decided {plural(sessions, 'session')}
          {words}
        </a>
      )}
    </span>
  )
}

interface SlotProps {
  readonly words: string
  readonly text: string
  readonly names: Names
  readonly checks: readonly Check[]
}

function Slot({ words, text, names, checks }: SlotProps): JSX.Element {
  const marks = checks.flatMap(({ span, message }): Mark[] =>
    span === null ? [] : [{ span, kind: 'problem', title: message }],
  )
  const named = [...names].filter(([id]) => text.includes(id)).map(([, name]) => name)
  return (
    <>
      <dt>{words}</dt>
      <dd>
        <Expression text={text} marks={marks} /> {named.length > 0 && <span class="chip">{named.join(', ')}</span>}
      </dd>
    </>
  )
}

/** Ids that rules speak of → names people know. */
type Names = ReadonlyMap<string, string>

function useNames(path: string): Names {
  const account = path.replace(/\/gateway\/rules$/, '')
  const networks = useResource<Named[]>(`${account}/teamnet/virtual_networks?is_deleted=false`).value
  const lists = useResource<Named[]>(`${account}/gateway/lists`).value
  return useMemo(
    () => new Map([...(networks ?? []), ...(lists ?? [])].map(({ id, name }) => [id, name] as const)),
    [networks, lists],
  )
}

interface Named {
  readonly id: string
  readonly name: string
}

function Egress({ rule }: { readonly rule: Rule }): JSX.Element {
  const egress = rule.rule_settings?.egress
  if (egress === undefined || egress === null) return <span>shared egress nearest the user</span>
  const fallback = egress.ipv4_fallback
  return (
    <span class="row">
      <code>{egress.ipv4}</code>
      <span class="muted">
        {fallback === undefined || fallback === '' ? 'without a fallback' : 'else '}
        {fallback === '0.0.0.0' ? 'shared egress' : fallback !== undefined && <code>{fallback}</code>}
      </span>
      <code class="muted">{egress.ipv6}</code>
    </span>
  )
}

function General({
  checks,
  others,
}: {
  readonly checks: readonly Check[]
  readonly others: number
}): JSX.Element | null {
  if (checks.length === 0 && others === 0) return null
  return (
    <section class="stack tight" aria-label="About the rule set">
      <h2>About all rules</h2>
      {others > 0 && <Notice>{plural(others, 'rule')} of other types are stored but not evaluated.</Notice>}
      {checks.map(({ code, severity, message, why, hint }) => (
        <Notice key={`${code}${message}`} kind={severity === 'warning' ? 'warn' : 'plain'}>
          {sentence(message)}{' '}
          <span class="muted">
            {sentence(why ?? '')} {hint === null ? '' : sentence(hint)}
          </span>
        </Notice>
      ))}
    </section>
  )
}
