// One rule on one line: order, name, what it says in short, where it leaves from, what it did. Opens to all of it.

import type { ComponentChildren, JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { Check, Rule, RuleCount } from '../api/shapes.ts'
import { clockOffset } from '../live/traffic.ts'
import { Expression, type Mark } from '../ui/expression.tsx'
import { formatDate, formatShort, plural, sentence } from '../ui/format.ts'
import { type Names, withNames } from '../ui/names.ts'
import { Notice } from '../ui/notice.tsx'
import { SelectField } from '../ui/select.tsx'
import { ForRole } from '../who.tsx'
import type { KnownRule } from './rule-filter.ts'

const SLOTS = [
  ['traffic', 'Traffic'],
  ['identity', 'Identity'],
  ['device_posture', 'Device'],
] as const

export interface RuleActions {
  /** what is dragged was dropped on `rule`, by its id */
  readonly onDropped: (id: string, rule: Rule) => void
  readonly onSelect: (rule: Rule) => void
  readonly onOpen: (rule: Rule) => void
  readonly onToggle: (rule: Rule) => void
  readonly onEdit: (rule: Rule) => void
}

const nothing = () => undefined
export const NOTHING_DONE: RuleActions = {
  onDropped: nothing,
  onSelect: nothing,
  onOpen: nothing,
  onToggle: nothing,
  onEdit: nothing,
}

export interface RuleRowProps {
  readonly known: KnownRule
  readonly names: Names
  /** address → its data center */
  readonly colos: ReadonlyMap<string, string>
  readonly isReadOnly: boolean
  readonly isSelected: boolean
  readonly isOpen: boolean
  /** always the same object, with what to do now */
  readonly does: { readonly current: RuleActions }
  /** what moves this rule, shown where it is open */
  readonly children: ComponentChildren
}

/** Drawn anew only where what it shows is new: there may be hundreds, and each key of a search asks for them. */
export function RuleRow(props: RuleRowProps): JSX.Element {
  const { known, names, colos, isReadOnly, isSelected, isOpen, children } = props
  const [isTarget, setTarget] = useState(false)
  return useMemo(
    () => rowOf(props, isTarget, setTarget),
    [known, names, colos, isReadOnly, isSelected, isOpen, children, isTarget],
  )
}

function rowOf(props: RuleRowProps, isTarget: boolean, setTarget: (isTarget: boolean) => void): JSX.Element {
  const { known, names, isReadOnly, isSelected, isOpen, does } = props
  const { rule } = known
  return (
    <li
      class={`rule ${rule.enabled ? '' : 'off'} ${isTarget ? 'drop' : ''} ${isSelected ? 'selected' : ''}`}
      onDragOver={(event) => {
        event.preventDefault()
        setTarget(true)
      }}
      onDragLeave={() => setTarget(false)}
      onDrop={(event) => {
        event.preventDefault()
        setTarget(false)
        does.current.onDropped(event.dataTransfer?.getData('text/plain') ?? '', rule)
      }}
    >
      <div class="rule-line">
        {!isReadOnly && (
          <span class="rule-hold">
            <span
              class="rule-grip"
              draggable
              aria-hidden="true"
              title="Drag to another place"
              onDragStart={({ dataTransfer }) => dataTransfer?.setData('text/plain', rule.id)}
            >
              ⠿
            </span>
            <input
              type="checkbox"
              aria-label={`Select ${rule.name}`}
              checked={isSelected}
              onChange={() => does.current.onSelect(rule)}
            />
          </span>
        )}
        <span class="chip rule-at" title="precedence">
          {rule.precedence}
        </span>
        <div class="rule-name">
          <h2>
            <button type="button" class="rule-open" aria-expanded={isOpen} onClick={() => does.current.onOpen(rule)}>
              {rule.name}
            </button>
            <Flags known={known} />
          </h2>
          {!isOpen && <code class="rule-short">{inShort(rule, names)}</code>}
        </div>
        <LeavesFrom rule={rule} colos={props.colos} />
        <Hits rule={rule} count={known.count} />
        <span class="rule-do">
          <ForRole needs="admin">
            <button
              type="button"
              role="switch"
              class="switch"
              aria-checked={rule.enabled}
              aria-label={`${rule.name} enabled`}
              disabled={isReadOnly}
              onClick={() => does.current.onToggle(rule)}
            >
              {rule.enabled ? 'on' : 'off'}
            </button>
          </ForRole>
          {!isReadOnly && (
            <button
              type="button"
              class="small"
              aria-label={`Edit ${rule.name}`}
              onClick={() => does.current.onEdit(rule)}
            >
              Edit
            </button>
          )}
        </span>
      </div>
      {isOpen && <More {...props} />}
    </li>
  )
}

function Flags({ known: { rule, checks, proven } }: { readonly known: KnownRule }): JSX.Element {
  const errors = checks.filter(({ severity }) => severity === 'error').length
  const warnings = checks.filter(({ severity, code }) => severity === 'warning' && code !== 'practice.P6').length
  return (
    <>
      {proven !== undefined && <span class="flag warn">{proven === 'dead' ? 'can never match' : 'never reached'}</span>}
      {errors > 0 && <span class="flag bad">{plural(errors, 'mistake')}</span>}
      {warnings > 0 && <span class="flag warn">{plural(warnings, 'warning')}</span>}
      {!rule.enabled && <span class="flag">off</span>}
    </>
  )
}

/** All three expressions on one line, ids as names. */
function inShort(rule: Rule, names: Names): string {
  const text = [rule.identity, rule.traffic, rule.device_posture].filter((part) => part !== '').join('  and  ')
  const short = text === '' ? 'any traffic' : text.replaceAll('identity.groups.name', 'groups')
  return withNames(short, names).replace(/any\(([a-z_.]+)\[\*\] (==|in) ([^()]*)\)/g, '$1 $2 $3')
}

function LeavesFrom({ rule, colos }: Pick<RuleRowProps, 'colos'> & { readonly rule: Rule }): JSX.Element {
  const ipv4 = rule.rule_settings?.egress?.ipv4
  if (ipv4 === undefined || ipv4 === null || ipv4 === '') return <span class="rule-from muted">shared egress</span>
  return (
    <span class="rule-from">
      <code>{ipv4}</code> <span class="muted">{colos.get(ipv4)}</span>
    </span>
  )
}

function Hits({ rule, count }: { readonly rule: Rule; readonly count: RuleCount | undefined }): JSX.Element {
  if (count === undefined) return <span class="hits small" />
  const { sessions, last_used: last, since } = count
  if (last === null)
    return <span class="hits small">unused since {formatShort(Date.parse(since), Date.now() + clockOffset.value)}</span>
  return (
    <span class="hits small">
      <a
        href={`/sessions?rule=${encodeURIComponent(rule.name)}`}
        title={`since ${formatDate(Date.parse(since))}; last ${formatDate(Date.parse(last))}`}
      >
        decided {plural(sessions, 'session')}
      </a>
    </span>
  )
}

function More({ known: { rule, checks, count }, names, colos, children }: RuleRowProps): JSX.Element {
  const last = count?.last_used ?? null
  return (
    <div class="rule-more stack tight">
      {rule.description !== '' && <p class="muted small">{rule.description}</p>}
      <dl class="rule-body">
        {SLOTS.map(([slot, words]) =>
          rule[slot] === '' ? null : (
            <SlotText
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
          <Egress rule={rule} colos={colos} />
        </dd>
        {count !== undefined && (
          <>
            <dt>Used</dt>
            <dd>
              {last === null ? 'by no session' : `by ${plural(count.sessions, 'session')}`} since{' '}
              {formatDate(Date.parse(count.since))}
              {last !== null && `, last on ${formatDate(Date.parse(last))}`}
            </dd>
          </>
        )}
      </dl>
      <Said checks={checks} />
      {children}
    </div>
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
            <CheckWords check={check} />
          </Notice>
        ))}
      {advice.length > 0 && (
        <details class="small">
          <summary class="muted">{plural(advice.length, 'piece of advice', 'pieces of advice')}</summary>
          {advice.map((check) => (
            <p key={`${check.code}${check.message}`}>
              <CheckWords check={check} />
            </p>
          ))}
        </details>
      )}
    </>
  )
}

export function CheckWords({ check: { message, why, hint } }: { readonly check: Check }): JSX.Element {
  return (
    <>
      {sentence(message)} {why !== null && why !== undefined && <span class="muted">{sentence(why)}</span>}{' '}
      {hint !== null && <span class="muted">{sentence(hint)}</span>}
    </>
  )
}

interface SlotTextProps {
  readonly words: string
  readonly text: string
  readonly names: Names
  readonly checks: readonly Check[]
}

function SlotText({ words, text, names, checks }: SlotTextProps): JSX.Element {
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

function Egress({ rule, colos }: Pick<RuleRowProps, 'colos'> & { readonly rule: Rule }): JSX.Element {
  const egress = rule.rule_settings?.egress
  if (egress === undefined || egress === null) return <span>shared egress nearest the user</span>
  const fallback = egress.ipv4_fallback
  return (
    <span class="row">
      <span>
        <code>{egress.ipv4}</code> <span class="muted">{colos.get(egress.ipv4 ?? '')}</span>
      </span>
      <span class="muted">
        {fallback === undefined || fallback === '' ? 'without a fallback' : 'else '}
        {fallback === '0.0.0.0' ? 'shared egress' : fallback !== undefined && <code>{fallback}</code>}{' '}
        {colos.get(fallback ?? '')}
      </span>
      <code class="muted">{egress.ipv6}</code>
    </span>
  )
}

interface MoveToProps {
  readonly rule: Rule
  readonly ordered: readonly Rule[]
  readonly onStep: (step: -1 | 1) => void
  readonly onMove: (before: Rule | undefined) => void
}

/** Moves a rule by a step or to a place. */
export function MoveTo({ rule, ordered, onStep, onMove }: MoveToProps): JSX.Element {
  const at = ordered.findIndex(({ id }) => id === rule.id)
  const places = ordered.filter(({ id }, index) => id !== rule.id && index !== at + 1)
  return (
    <div class="row move hide-label">
      <ForRole needs="admin">
        <button
          type="button"
          class="small"
          disabled={at === 0}
          aria-label={`Move ${rule.name} up`}
          onClick={() => onStep(-1)}
        >
          ↑ Up
        </button>
        <button
          type="button"
          class="small"
          disabled={at === ordered.length - 1}
          aria-label={`Move ${rule.name} down`}
          onClick={() => onStep(1)}
        >
          ↓ Down
        </button>

        <SelectField
          label={`Move ${rule.name} to`}
          value=""
          options={[
            ['', 'Move to …'],
            ...places.map(({ id, name, precedence }) => [id, `before ${precedence} ${name}`] as const),
            ...(at === ordered.length - 1 ? [] : [['last', 'the end'] as const]),
          ]}
          onChange={(id) => {
            if (id !== '') onMove(ordered.find((each) => each.id === id))
          }}
        />
      </ForRole>
    </div>
  )
}
