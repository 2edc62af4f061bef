// A connection that never happens: what would be decided for it, why, and where it would go. The question is the address of the
// page, so that it can be shared.

import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { ApiFailure, ask } from '../api/request.ts'
import type { Colo, Explanation, Origin, Person, Position } from '../api/shapes.ts'
import { urlOf } from '../base.ts'
import { changes } from '../live/traffic.ts'
import type { Route } from '../map/routes.ts'
import { WorldMap } from '../map/world-map.tsx'
import { location, navigate } from '../router.ts'
import { useNarrow } from '../theme.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { Why } from '../ui/explanation.tsx'
import { sentence } from '../ui/format.ts'
import { useNames } from '../ui/names.ts'
import { Empty, Notice } from '../ui/notice.tsx'
import { useResource } from '../ui/resource.ts'
import { SelectField, TextField } from '../ui/select.tsx'

const FIELDS = [
  'destination',
  'user',
  'vnet',
  'source_ip',
  'device',
  'protocol',
  'endpoint',
  'family',
  'colos_down',
] as const
/** seldom asked for: folded away where there is little room */
const RARE = ['family', 'protocol', 'source_ip', 'device', 'colos_down'] as const
type Question = Readonly<Record<(typeof FIELDS)[number], string>>

function questionIn(query: URLSearchParams): Question {
  const read = (name: string) => query.get(name) ?? ''
  return {
    destination: read('destination'),
    user: read('user'),
    vnet: read('vnet'),
    source_ip: read('source_ip'),
    device: read('device'),
    protocol: read('protocol'),
    endpoint: read('endpoint'),
    family: read('family'),
    colos_down: read('colos_down'),
  }
}

function addressOf(question: Question): string {
  const given = FIELDS.filter((name) => question[name].trim() !== '').map((name) => [name, question[name].trim()])
  return `/explain?${new URLSearchParams(given)}`
}

/** In the API's types; empty fields are left out. */
function bodyOf(question: Question): object {
  const { family, colos_down: down, ...texts } = question
  const given = Object.entries(texts).filter(([, text]) => text.trim() !== '')
  const codes = down.split(/[\s,]+/).filter((code) => code !== '')
  return {
    ...Object.fromEntries(given),
    ...(family === '' ? {} : { family: Number(family) }),
    ...(codes.length === 0 ? {} : { colos_down: codes }),
  }
}

export function ExplainView(): JSX.Element {
  const asked = questionIn(location.value.query)
  const address = addressOf(asked)
  const [draft, setDraft] = useState(asked)
  useEffect(() => setDraft(questionIn(new URL(address, window.location.href).searchParams)), [address])
  const { answer, failure } = useAnswer(address)
  const result = useRef<HTMLDivElement>(null)
  const isAwaited = useRef(false)
  useEffect(() => {
    if (!isAwaited.current || (answer === undefined && failure === undefined)) return
    isAwaited.current = false
    if ((result.current?.getBoundingClientRect().top ?? 0) > window.innerHeight / 2) result.current?.scrollIntoView()
  }, [answer, failure])
  const onAsk = () => {
    isAwaited.current = true
    navigate(addressOf(draft), { replace: addressOf(draft) === address })
  }
  return (
    <>
      <div class="view-head">
        <h1>Explain</h1>
        <p class="muted">The decision for a connection, without opening it.</p>
      </div>
      <div class="explain-grid">
        <QuestionForm draft={draft} onDraft={setDraft} onAsk={onAsk} />
        <div class="stack" ref={result}>
          {failure !== undefined && <Notice kind="bad">{sentence(failure.message)}</Notice>}
          {asked.destination === '' && (
            <div class="card">
              <Empty title="Connection to explain">
                <p>For example:</p>
                <a href="/explain?destination=https://bank.saas.test/&user=alice@example.com">
                  alice to https://bank.saas.test/
                </a>
                <a href="/explain?destination=https://cloudflare.com/&user=carol@example.com&family=4">
                  carol to https://cloudflare.com/ over IPv4
                </a>
              </Empty>
            </div>
          )}
          {answer !== undefined && <Answer answer={answer} question={asked} />}
        </div>
      </div>
    </>
  )
}

function useAnswer(address: string) {
  const [state, setState] = useState<{ address: string; answer?: Explanation; failure?: ApiFailure }>({ address })
  const seen = changes.value
  useEffect(() => {
    const question = questionIn(new URL(address, window.location.href).searchParams)
    if (question.destination === '' || seen < 0) return undefined
    const leave = new AbortController()
    ask<Explanation>('POST', '/lab/v1/explain', { body: bodyOf(question), signal: leave.signal }).then(
      (answer) => setState({ address, answer }),
      (failure: unknown) => {
        if (failure instanceof ApiFailure) setState({ address, failure })
      },
    )
    return () => leave.abort()
  }, [address, seen])
  return state.address === address ? state : { address }
}

interface FormProps {
  readonly draft: Question
  readonly onDraft: (draft: Question) => void
  readonly onAsk: () => void
}

function QuestionForm({ draft, onDraft, onAsk }: FormProps): JSX.Element {
  const users = useResource<Person[]>('/lab/v1/users').value ?? []
  const { networks } = useNames()
  const narrow = useNarrow()
  const isRareGiven = RARE.some((name) => draft[name] !== '')
  const set = (change: Partial<Question>) => onDraft({ ...draft, ...change })
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    onAsk()
  }
  return (
    <form class="card card-body stack" onSubmit={submit}>
      <TextField
        label="Destination"
        value={draft.destination}
        placeholder="https://bank.saas.test/ or 198.51.100.20:443"
        required
        onInput={(destination) => set({ destination })}
      />
      <div class="fields">
        <SelectField
          label="User"
          value={draft.user}
          options={[['', 'no user'], ...users.map(({ email }) => [email, email] as const)]}
          onChange={(user) => set({ user })}
        />
        <SelectField
          label="Virtual network"
          value={draft.vnet}
          options={[['', 'their own choice'], ...networks.map(({ name }) => [name, name] as const)]}
          onChange={(vnet) => set({ vnet })}
        />
      </div>
      <details class="rare" open={!narrow || isRareGiven}>
        <summary>More conditions</summary>
        <div class="fields">
          <SelectField
            label="Address family"
            value={draft.family}
            options={[
              ['', 'as the name resolves'],
              ['4', 'IPv4'],
              ['6', 'IPv6'],
            ]}
            onChange={(family) => set({ family })}
          />
          <SelectField
            label="Transport"
            value={draft.protocol}
            options={[
              ['', 'TCP'],
              ['udp', 'UDP'],
            ]}
            onChange={(protocol) => set({ protocol })}
          />
          <TextField
            label="Source IP"
            value={draft.source_ip}
            placeholder="the device’s"
            onInput={(source_ip) => set({ source_ip })}
          />
          <TextField
            label="Device"
            value={draft.device}
            placeholder="the user’s"
            onInput={(device) => set({ device })}
          />
          <TextField
            label="Data centers down"
            value={draft.colos_down}
            placeholder="LHR IAD"
            onInput={(colos_down) => set({ colos_down })}
          />
        </div>
      </details>
      <div class="row">
        <button type="submit" class="primary">
          Explain
        </button>
        {draft.destination !== '' && (
          <CopyButton text={new URL(urlOf(addressOf(draft)), window.location.href).href}>Copy link</CopyButton>
        )}
      </div>
    </form>
  )
}

function Answer({ answer, question }: { readonly answer: Explanation; readonly question: Question }): JSX.Element {
  const further = answer.further_addresses ?? []
  return (
    <>
      <OutcomeMap answer={answer} question={question} />
      <div class="card card-body stack">
        <LetsIn answer={answer} />
        <Why explanation={answer} />
      </div>
      {further.map((other) => (
        <details key={String(other.flow['net.dst.ip'])} class="card card-body">
          <summary>
            If that address does not answer: {String(other.flow['net.dst.ip'])}, from{' '}
            {other.decision.egress?.ipv4 ?? other.decision.egress?.ipv6 ?? 'nowhere'}
          </summary>
          <Why explanation={other} />
        </details>
      ))}
    </>
  )
}

/** What the destination's allowlist makes of it; nothing where it has none. */
function LetsIn({ answer: { allowlist, decision } }: { readonly answer: Explanation }): JSX.Element | null {
  if (allowlist === undefined || allowlist === null) return null
  const address = decision.egress?.ipv4 ?? decision.egress?.ipv6 ?? 'no address'
  return (
    <Notice kind={allowlist.let_in ? 'good' : 'bad'}>
      {allowlist.service} <strong>{allowlist.let_in ? 'lets in' : 'refuses'}</strong> {address}; its allowlist has{' '}
      {allowlist.allow.join(', ')}.
    </Notice>
  )
}

function OutcomeMap({ answer, question }: { readonly answer: Explanation; readonly question: Question }): JSX.Element {
  const colos = useResource<Colo[]>('/lab/v1/colos?all=true').value
  const origins = useResource<Origin[]>('/lab/v1/origins').value
  const users = useResource<Person[]>('/lab/v1/users').value
  const scene = useMemo(
    () => sceneOf(answer, question, colos ?? [], origins ?? [], users ?? []),
    [answer, question, colos, origins, users],
  )
  return (
    <figure class="card map-card small-map">
      <WorldMap {...scene} label="Map of the outcome" />
    </figure>
  )
}

function sceneOf(answer: Explanation, question: Question, all: Colo[], origins: Origin[], users: Person[]) {
  const { decision, flow } = answer
  const colos = new Map(all.map((colo) => [colo.code, colo]))
  const user = users.find(({ email }) => email === question.user)
  const origin = origins.find(({ name }) => name === flow['net.fqdn.host'])
  const logical = colos.get(decision.logical?.colo ?? '')
  const at = (place: { longitude?: number; latitude?: number } | undefined): Position | null =>
    place?.longitude === undefined || place.latitude === undefined ? null : [place.longitude, place.latitude]
  const from = at(user?.place)
  const to = at(origin?.place)
  const route: Route = {
    tone: decision.outcome,
    from,
    ingress: decision.ingress_colo,
    physical: decision.physical_colo ?? '',
    logical: at(logical),
    to,
    open: 1,
    endedAt: 0,
  }
  const codes = new Set([decision.ingress_colo, decision.physical_colo ?? '', decision.logical?.colo ?? ''])
  const marks = [
    ...(from === null ? [] : [{ name: question.user.replace(/@.*$/, ''), at: from }]),
    ...(to === null || origin === undefined ? [] : [{ name: origin.name, at: to }]),
  ]
  return { colos, shown: all.filter(({ code }) => codes.has(code)), people: marks, routes: [route] }
}
