// The rules in the order they are asked, found by what they say, do and fail to do; moved, switched and edited.

import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { wordsOf } from '../api/request.ts'
import type { Account, Check, Health, Person, Rule, RuleCount } from '../api/shapes.ts'
import { location, navigate } from '../router.ts'
import { inOrder, moveRule, moveRuleBefore, replaceRule, rulesPath } from '../rules/rule-changes.ts'
import { RuleEditor } from '../rules/rule-editor.tsx'
import {
  addressesOf,
  fits,
  type KnownRule,
  knownRule,
  type RuleFilter,
  ruleFilterAddress,
  ruleFilterFrom,
  SHOWN,
  SHOWN_WORDS,
} from '../rules/rule-filter.ts'
import { CheckWords, MoveTo, NOTHING_DONE, type RuleActions, RuleRow } from '../rules/rule-row.tsx'
import type { Vocabulary } from '../rules/vocabulary.ts'
import { plural, sentence } from '../ui/format.ts'
import { useNames } from '../ui/names.ts'
import { Empty, Notice, Waiting } from '../ui/notice.tsx'
import { useAccountPath, useResource } from '../ui/resource.ts'
import { ForRole, useRefusal } from '../who.tsx'

const COUNT_MS = 2000

export function RulesView(): JSX.Element {
  const account = useAccountPath()
  if (account.value === undefined) return <Waiting for={account} what="rules" />
  return <Rules account={account.value} />
}

function Rules({ account }: { readonly account: string }): JSX.Element {
  const path = rulesPath(account)
  const rules = useResource<Rule[]>(path)
  const checks = useResource<Check[]>('/lab/v1/checks').value
  const counts = useResource<RuleCount[]>('/lab/v1/counters', { everyMs: COUNT_MS }).value
  const refusal = useRefusal('admin')
  const isReadOnly = useResource<Health>('/lab/v1/health').value?.rules_from === 'file'
  const { known, names, listTypes, colos } = useVocabulary()
  const [editing, setEditing] = useState<Rule | 'new'>()
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set())
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [failure, setFailure] = useState<string>()
  const [busy, setBusy] = useState(false)
  const filter = ruleFilterFrom(location.value.query)
  const ordered = useMemo(() => inOrder(rules.value ?? []), [rules.value])
  const everything = useKnownRules(ordered, checks, counts)
  const shown = everything.filter((each) => fits(each, filter, names))
  const drawn = useGradually(shown.length, ruleFilterAddress(filter))
  const chosen = ordered.filter(({ id }) => selected.has(id))

  const attempt = async (action: () => Promise<unknown>) => {
    setFailure(undefined)
    setBusy(true)
    try {
      await action()
    } catch (thrown) {
      setFailure(sentence(wordsOf(thrown)))
    } finally {
      setBusy(false)
      rules.reload()
    }
  }
  const drop = (id: string, before: Rule) => {
    const rule = ordered.find((each) => each.id === id)
    if (refusal !== undefined) setFailure(refusal)
    else if (rule !== undefined && rule.id !== before.id)
      void attempt(() => moveRuleBefore(path, ordered, rule, before))
  }
  const switchAll = (enabled: boolean) =>
    attempt(async () => {
      for (const rule of chosen) if (rule.enabled !== enabled) await replaceRule(path, rule, { ...rule, enabled })
      setSelected(new Set())
    })
  const does = useRef<RuleActions>(NOTHING_DONE)
  does.current = {
    onDropped: drop,
    onSelect: ({ id }) => setSelected(toggled(selected, id)),
    onOpen: ({ id }) => setOpened(toggled(opened, id)),
    onToggle: (rule) => void attempt(() => replaceRule(path, rule, { ...rule, enabled: !rule.enabled })),
    onEdit: setEditing,
  }
  const largest = Math.max(0, ...(rules.value ?? []).map(({ precedence }) => precedence))

  return (
    <>
      <div class="view-head">
        <h1>Rules</h1>
        <p class="muted">
          {rules.value === undefined ? '' : `${counted(shown.length, ordered.length)}. `}The first enabled rule that
          matches decides.
        </p>
        {!isReadOnly && (
          <button type="button" class="primary push" onClick={() => setEditing('new')}>
            New rule
          </button>
        )}
      </div>
      {isReadOnly && <Notice>The rules come from the configuration file: change them there.</Notice>}
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      {rules.value === undefined && <Waiting for={rules} what="rules" />}
      {rules.value !== undefined && ordered.length === 0 && (
        <div class="card">
          <Empty title="No egress rules">
            <p>All traffic is balanced over the dedicated IPs.</p>
          </Empty>
        </div>
      )}
      {ordered.length > 0 && <Filters filter={filter} groups={known.groups} rules={ordered} colos={colos} />}
      {chosen.length > 0 && (
        <div class="card card-body row selection" role="group" aria-label="Selected rules">
          <strong>{plural(chosen.length, 'rule')} selected</strong>
          <ForRole needs="admin">
            <button type="button" class="small" disabled={busy} onClick={() => void switchAll(true)}>
              Switch on
            </button>
            <button type="button" class="small" disabled={busy} onClick={() => void switchAll(false)}>
              Switch off
            </button>
          </ForRole>
          <button type="button" class="small quiet" onClick={() => setSelected(new Set())}>
            Clear selection
          </button>
        </div>
      )}
      {ordered.length > 0 && shown.length === 0 && (
        <div class="card">
          <Empty title="No rule fits this filter" />
        </div>
      )}
      {shown.length > 0 && (
        <ol class="rules card">
          {shown.slice(0, drawn).map((each) => (
            <RuleRow
              key={each.rule.id}
              known={each}
              names={names}
              colos={colos}
              isReadOnly={isReadOnly}
              isSelected={selected.has(each.rule.id)}
              isOpen={opened.has(each.rule.id)}
              does={does}
            >
              {!isReadOnly && opened.has(each.rule.id) && (
                <MoveTo
                  rule={each.rule}
                  ordered={ordered}
                  onStep={(step) => void attempt(() => moveRule(path, ordered, each.rule, step))}
                  onMove={(before) => void attempt(() => moveRuleBefore(path, ordered, each.rule, before))}
                />
              )}
            </RuleRow>
          ))}
        </ol>
      )}
      <General
        checks={(checks ?? []).filter(({ rule }) => rule === null)}
        others={(rules.value ?? []).length - ordered.length}
      />
      {editing !== undefined && (
        <RuleEditor
          path={path}
          rule={editing === 'new' ? undefined : editing}
          nextPrecedence={largest + 1000}
          known={known}
          listTypes={listTypes}
          onClose={() => {
            setEditing(undefined)
            rules.reload()
          }}
        />
      )}
    </>
  )
}

/** Each rule with what is said of it and what it did; one of which nothing changed is the same object as before. */
function useKnownRules(
  ordered: readonly Rule[],
  checks: readonly Check[] | undefined,
  counts: readonly RuleCount[] | undefined,
): readonly KnownRule[] {
  const before = useRef<ReadonlyMap<string, KnownRule>>(new Map())
  const said = useMemo(() => groupBy(checks ?? [], ({ rule }) => rule ?? ''), [checks])
  return useMemo(() => {
    const used = new Map((counts ?? []).map((count) => [count.rule, count] as const))
    const known = ordered.map((rule) =>
      knownRule(rule, said.get(rule.id) ?? UNSAID, used.get(rule.id), before.current.get(rule.id)),
    )
    before.current = new Map(known.map((each) => [each.rule.id, each]))
    return known
  }, [ordered, said, counts])
}

const UNSAID: readonly Check[] = []

/** Rows drawn in one go: more than a screen shows. */
const ROWS_AT_ONCE = 40

/** How many rows to draw: the first at once, the others when typing rests, so that a long list never holds a key up. */
function useGradually(rows: number, list: string): number {
  const [state, setState] = useState({ list, upTo: ROWS_AT_ONCE })
  const upTo = state.list === list ? state.upTo : ROWS_AT_ONCE
  useEffect(() => {
    if (upTo >= rows) return undefined
    const wait = upTo === ROWS_AT_ONCE ? AT_REST_MS : GRADUALLY_MS
    const timer = setTimeout(() => setState({ list, upTo: upTo + ROWS_AT_ONCE }), wait)
    return () => clearTimeout(timer)
  }, [rows, list, upTo])
  return upTo
}

const AT_REST_MS = 300
const GRADUALLY_MS = 60

function counted(shown: number, all: number): string {
  return shown === all ? plural(all, 'rule') : `${shown} of ${plural(all, 'rule')}`
}

function toggled(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set)
  if (!next.delete(id)) next.add(id)
  return next
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}

interface FiltersProps {
  readonly filter: RuleFilter
  readonly groups: readonly string[]
  readonly rules: readonly Rule[]
  readonly colos: ReadonlyMap<string, string>
}

function Filters({ filter, groups, rules, colos }: FiltersProps): JSX.Element {
  const set = (change: Partial<RuleFilter>) => navigate(ruleFilterAddress({ ...filter, ...change }), { replace: true })
  const addresses = [...new Set(rules.flatMap(addressesOf))].sort()
  const spoken = groups.filter((group) => rules.some(({ identity }) => identity.includes(`"${group}"`)))
  const words = (address: string) => (address === 'shared' ? 'shared egress' : `${address} ${colos.get(address) ?? ''}`)
  return (
    <search class="filters">
      <label class="field grow">
        <span class="hidden-label">Search rules</span>
        <input
          type="search"
          placeholder="Search rules"
          value={filter.text}
          onInput={({ currentTarget }) => set({ text: currentTarget.value })}
        />
      </label>
      <FilterSelect
        label="Show"
        value={filter.show}
        options={SHOWN.map((show) => [show, SHOWN_WORDS[show]])}
        onChange={(show) => set({ show: SHOWN.find((one) => one === show) ?? '' })}
      />
      <FilterSelect
        label="Group"
        value={filter.group}
        options={[['', 'Group: all'], ...spoken.map((group) => [group, group] as const)]}
        onChange={(group) => set({ group })}
      />
      <FilterSelect
        label="Egress"
        value={filter.egress}
        options={[['', 'Egress: all'], ...addresses.map((address) => [address, words(address)] as const)]}
        onChange={(egress) => set({ egress })}
      />
      {ruleFilterAddress(filter) !== '/rules' && (
        <button type="button" class="quiet" onClick={() => navigate('/rules', { replace: true })}>
          Clear
        </button>
      )}
    </search>
  )
}

interface FilterSelectProps {
  readonly label: string
  readonly value: string
  readonly options: readonly (readonly [value: string, words: string])[]
  readonly onChange: (value: string) => void
}

/** Its first option says what it is. */
function FilterSelect({ label, value, options, onChange }: FilterSelectProps): JSX.Element {
  return (
    <label class="field">
      <span class="hidden-label">{label}</span>
      <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
        {options.map(([option, words]) => (
          <option key={option} value={option}>
            {words}
          </option>
        ))}
      </select>
    </label>
  )
}

/** The names that the lab knows, for finding, showing and writing rules. */
function useVocabulary() {
  const { networks, lists, checks, names } = useNames()
  const people = useResource<Person[]>('/lab/v1/users').value
  const owned = useResource<Account>('/lab/v1/account').value?.dedicated_ips
  return useMemo(() => {
    const known: Omit<Vocabulary, 'hosts'> = {
      groups: sortedSet((people ?? []).flatMap(({ groups }) => groups)),
      people: sortedSet((people ?? []).map(({ email }) => email)),
      lists,
      networks,
      checks,
    }
    return {
      known,
      names,
      listTypes: new Map(lists.map(({ id, type }) => [id, type] as const)),
      colos: new Map((owned ?? []).flatMap(({ ipv4, colo }) => (ipv4 === null ? [] : [[ipv4, colo] as const]))),
    }
  }, [networks, lists, checks, names, people, owned])
}

function sortedSet(values: readonly string[]): string[] {
  return [...new Set(values)].sort()
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
    <details class="stack tight" open={checks.some(({ severity }) => severity !== 'advice')}>
      <summary>About all rules ({checks.length + (others > 0 ? 1 : 0)})</summary>
      {others > 0 && <Notice>{plural(others, 'rule')} of other types are stored but not evaluated.</Notice>}
      {checks.map((check) => (
        <Notice key={`${check.code}${check.message}`} kind={check.severity === 'warning' ? 'warn' : 'plain'}>
          <CheckWords check={check} />
        </Notice>
      ))}
    </details>
  )
}
