// Why a connection left from where it did: the reason in words, the addresses considered, every rule with what it looked at.

import type { JSX } from 'preact'
import type { Explanation, Json, PlanStep, RuleTrace } from '../api/shapes.ts'
import { plural, quoted, sentence } from './format.ts'
import { type Names, useNames, withNames } from './names.ts'
import { Notice } from './notice.tsx'
import { OutcomeBadge } from './outcome.tsx'

const STEP_WORDS: Readonly<Record<PlanStep['from'], string>> = {
  primary: 'the rule’s address',
  fallback: 'its fallback',
  range: 'the rule’s IPv6 range',
  balanced: 'chosen by distance',
  shared: 'shared egress',
  tunnel: 'the connector’s own address',
}

const VERDICT_WORDS: Readonly<Record<PlanStep['verdict'], string>> = {
  used: 'used',
  'colo-down': 'data center is down',
  'not-owned': 'not owned by the account',
  'not-set': 'not set',
  'not-needed': 'not needed',
}

export function Why({ explanation }: { readonly explanation: Explanation }): JSX.Element {
  const { names } = useNames()
  const { decision, plan, near_misses: nearMisses } = explanation
  const address = decision.egress?.ipv4 ?? decision.egress?.ipv6
  return (
    <section class="stack" aria-label="Why this IP?">
      <div class="why">
        <p class="row">
          <OutcomeBadge tone={decision.outcome} />
          <strong class="mono why-address">{address ?? 'no address'}</strong>
        </p>
        <p>{sentence(decision.reason)}</p>
        <Way decision={decision} />
      </div>
      {plan.length > 0 && (
        <div>
          <h3>Addresses considered</h3>
          <ol class="steps">
            {plan.map((step) => (
              <li key={`${step.from}${step.written}`} class={step.verdict === 'used' ? 'used' : ''}>
                <span aria-hidden="true">{step.verdict === 'used' ? '✓' : '·'}</span>
                <span>
                  <code>{step.written === '' ? 'none' : step.written}</code>{' '}
                  {step.colo === undefined ? '' : `at ${step.colo}, `}
                  {STEP_WORDS[step.from]}: {VERDICT_WORDS[step.verdict]}
                </span>
              </li>
            ))}
          </ol>
        </div>
      )}
      {nearMisses.length > 0 && (
        <Notice>
          <strong>Nearly:</strong>
          <ul>
            {nearMisses.map(({ id, rule, parts }) => (
              <li key={id}>
                Rule “{rule}” would have matched but for{' '}
                {parts.map(({ text, value }) => (
                  <span key={text}>
                    <code>{withNames(text, names)}</code> (
                    {value === null ? (
                      'no value'
                    ) : (
                      <>
                        it is <code>{withNames(show(value), names)}</code>
                      </>
                    )}
                    ){' '}
                  </span>
                ))}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      <RuleTraces trace={explanation.trace} names={names} />
      <details>
        <summary>What the rules could see</summary>
        <dl class="facts small">
          {Object.entries(explanation.flow).map(([name, value]) => (
            <Fact key={name} name={name} value={value} />
          ))}
        </dl>
      </details>
    </section>
  )
}

function Way({ decision }: { readonly decision: Explanation['decision'] }): JSX.Element {
  const { ingress_colo: ingress, physical_colo: physical, logical } = decision
  const seen = [logical?.city, logical?.country].filter((part) => part !== null && part !== undefined).join(', ')
  return (
    <ol class="way">
      <li>
        <span class="muted">came in at</span> <strong>{ingress}</strong>
      </li>
      <li>
        <span class="muted">left at</span> <strong>{physical ?? 'nowhere'}</strong>
      </li>
      <li>
        <span class="muted">is treated as in</span> <strong>{seen === '' ? 'nowhere' : seen}</strong>
      </li>
    </ol>
  )
}

/** The matching rule first where many did not match before it. */
function RuleTraces({ trace, names }: { readonly trace: readonly RuleTrace[]; readonly names: Names }): JSX.Element {
  const asked = trace.filter(({ skipped }) => skipped === null || !NOT_REACHED.test(skipped))
  const later = trace.filter((rule) => !asked.includes(rule))
  const folded = asked.length > MOST_TRACES ? asked.filter(({ matched }) => !matched) : []
  return (
    <div>
      <h3>Rules, in order</h3>
      {trace.length === 0 && <p class="muted">No rules.</p>}
      {folded.length > 0 && (
        <details class="small">
          <summary class="muted">{plural(folded.length, 'rule')} did not match</summary>
          <ol class="trace">
            {folded.map((rule) => (
              <RuleTraceItem key={rule.id} rule={rule} names={names} />
            ))}
          </ol>
        </details>
      )}
      <ol class="trace">
        {asked
          .filter((rule) => !folded.includes(rule))
          .map((rule) => (
            <RuleTraceItem key={rule.id} rule={rule} names={names} />
          ))}
        {later.length > 0 && (
          <li class="muted small">
            {later.length === 1 ? 'One more was' : `${later.length} more were`} not evaluated
            {later.length <= MOST_TRACES && `: ${later.map(({ rule }) => rule).join(', ')}`}
          </li>
        )}
      </ol>
    </div>
  )
}

/** as many as are read through */
const MOST_TRACES = 8
const NOT_REACHED = /^not reached/

function RuleTraceItem({ rule, names }: { readonly rule: RuleTrace; readonly names: Names }): JSX.Element {
  return (
    <li class={rule.matched ? 'matched' : ''}>
      <p class="row">
        <span class="chip">{rule.precedence}</span>
        <strong>{rule.rule}</strong>
        <span class={rule.matched ? 'verdict good' : 'verdict'}>
          {rule.matched ? '✓ matched' : rule.skipped === null ? '✕ did not match' : `– ${quoted(rule.skipped)}`}
        </span>
      </p>
      {Object.entries(rule.expressions).map(([name, { parts }]) => (
        <ul key={name} class="parts" aria-label={name}>
          {parts.map((part) => (
            <li key={part.span.join()} class={part.decisive ? 'decisive' : ''}>
              <span class={part.result ? 'verdict good' : 'verdict bad'}>
                <span aria-hidden="true">{part.result ? '✓' : '✕'}</span>
                <span class="hidden-label">{part.result ? 'true' : 'false'}</span>
              </span>
              <span>
                <code>{withNames(part.text, names)}</code>{' '}
                {part.field !== null && <Held value={part.value} note={part.note} names={names} />}
              </span>
            </li>
          ))}
        </ul>
      ))}
    </li>
  )
}

interface HeldProps {
  readonly value: Json
  /** why there is none */
  readonly note: string | undefined
  readonly names: Names
}

function Held({ value, note, names }: HeldProps): JSX.Element {
  return (
    <span class="muted">
      {value === null ? (
        `has no value${note === undefined ? '' : `: ${quoted(note)}`}`
      ) : (
        <>
          it is <code>{withNames(show(value), names)}</code>
        </>
      )}
    </span>
  )
}

function Fact({ name, value }: { readonly name: string; readonly value: Json }): JSX.Element {
  return (
    <>
      <dt class="mono">{name}</dt>
      <dd class="mono">{show(value)}</dd>
    </>
  )
}

function show(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
