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
      {isReadOnly && <Notice>The configuration file owns the rules: change them there.</Notice>}
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      {rules.value === undefined && rules.failure === undefined && <Loading what="rules" />}
      {rules.failure !== undefined && <Notice kind="bad">{sentence(rules.failure.message)}</Notice>}
      {rules.value !== undefined && ordered.length === 0 && (
        <div class="card">
          <Empty title="No egress rules">
            <p>Everything is balanced over the dedicated IPs.</p>
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
  readonly isReadOnly: boolean
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly onToggle: () => void
  readonly onMove: (step: -1 | 1) => void
  readonly onEdit: () => void
}

function RuleCard(props: RuleCardProps): JSX.Element {
  const { rule, checks, isReadOnly, onToggle } = props
  return (
    <li class={`card rule ${rule.enabled ? '' : 'off'}`}>
      <div class="rule-head">
        <span class="chip" title="precedence">
          {rule.precedence}
        </span>
        <h2>{rule.name}</h2>
        <Hits count={props.count} />
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
      {rule.description !== '' && <p class="muted small">{rule.description}</p>}
      <dl class="rule-body">
        {SLOTS.map(([slot, words]) =>
          rule[slot] === '' ? null : (
            <Slot key={slot} words={words} text={rule[slot]} checks={checks.filter(({ field }) => field === slot)} />
          ),
        )}
        <dt>Leaves from</dt>
        <dd>
          <Egress rule={rule} />
        </dd>
      </dl>
      {checks.map(({ code, severity, message, why, hint }) => (
        <Notice
          key={`${code}${message}`}
          kind={severity === 'error' ? 'bad' : severity === 'warning' ? 'warn' : 'plain'}
        >
          {sentence(message)} {why !== null && why !== undefined && <span class="muted">{sentence(why)}</span>}{' '}
          {hint !== null && <span class="muted">{sentence(hint)}</span>}
        </Notice>
      ))}
    </li>
  )
}

function RuleActions({ rule, isFirst, isLast, onMove, onEdit }: RuleCardProps): JSX.Element {
  return (
    <span class="row">
      <button
        type="button"
        class="small"
        disabled={isFirst}
        aria-label={`Ask ${rule.name} earlier`}
        title="Ask earlier"
        onClick={() => onMove(-1)}
      >
        ↑
      </button>
      <button
        type="button"
        class="small"
        disabled={isLast}
        aria-label={`Ask ${rule.name} later`}
        title="Ask later"
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

function Hits({ count }: { readonly count: RuleCount | undefined }): JSX.Element {
  const sessions = count?.sessions ?? 0
  const last = count?.last_used ?? null
  const words = version.value < 0 || last === null ? '' : `, last ${formatDate(Date.parse(last))}`
  return (
    <a class="hits small" href={`/sessions`} hidden={sessions === 0 && last === null}>
      decided {plural(sessions, 'session')}
      {words}
    </a>
  )
}

function Slot({
  words,
  text,
  checks,
}: {
  readonly words: string
  readonly text: string
  readonly checks: readonly Check[]
}): JSX.Element {
  const marks = checks.flatMap(({ span, message }): Mark[] =>
    span === null ? [] : [{ span, kind: 'problem', title: message }],
  )
  return (
    <>
      <dt>{words}</dt>
      <dd>
        <Expression text={text} marks={marks} />
      </dd>
    </>
  )
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
    <section class="stack tight" aria-label="About the rules as a whole">
      <h2>About all of them</h2>
      {others > 0 && <Notice>{plural(others, 'rule')} of other kinds are kept and never evaluated here.</Notice>}
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
