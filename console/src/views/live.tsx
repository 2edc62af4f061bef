// What is happening now: the world, the data centers with their addresses and load, and the last sessions.

import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Colo, Row } from '../api/shapes.ts'
import { allRows, version } from '../live/session-store.ts'
import { load, rate } from '../live/traffic.ts'
import { type Marked, WorldMap } from '../map/world-map.tsx'
import { sentence } from '../ui/explanation.tsx'
import { formatTime, plural } from '../ui/format.ts'
import { Empty, Loading, Notice } from '../ui/notice.tsx'
import { OUTCOME_WORDS, OutcomeBadge, OutcomeShape, type Tone, toneOf } from '../ui/outcome.tsx'
import { type Resource, useResource } from '../ui/resource.ts'

const LATEST = 8
const LEGEND: readonly Tone[] = ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'failed']

export function LiveView(): JSX.Element {
  const colos = useResource<Colo[]>('/lab/v1/colos?all=true')
  const [failure, setFailure] = useState<string>()
  const index = useMemo(() => new Map((colos.value ?? []).map((colo) => [colo.code, colo])), [colos.value])
  const shown = useShownColos(colos.value)
  const people = usePeople()

  const toggle = async (colo: Colo) => {
    try {
      setFailure(undefined)
      await ask('PUT', `/lab/v1/colos/${colo.code}`, { body: { up: !colo.up } })
      colos.reload()
    } catch (thrown) {
      setFailure(wordsOf(thrown))
    }
  }

  return (
    <>
      <div class="view-head">
        <h1>Live</h1>
        <Pulse />
      </div>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <div class="live-grid">
        <figure class="card map-card">
          <WorldMap colos={index} shown={shown} people={people} onColo={toggle} label="Map of live connections" />
          <figcaption class="legend">
            {LEGEND.map((tone) => (
              <span key={tone} class={`legend-entry tone-${tone}`}>
                <OutcomeShape tone={tone} />
                {OUTCOME_WORDS[tone]}
              </span>
            ))}
            <span class="legend-entry plain">
              <span class="legend-ring" aria-hidden="true" />
              seen there, leaves elsewhere
            </span>
          </figcaption>
        </figure>
        <ColoList colos={colos} shown={shown} onToggle={toggle} />
      </div>
      <Latest />
    </>
  )
}

function Pulse(): JSX.Element {
  return (
    <p class="muted">
      {plural(load.value.open, 'open session')} · {rate.value.toLocaleString('en')} per second
    </p>
  )
}

/** Those with dedicated IPs, those that are down, and those sessions came in at. */
function useShownColos(colos: readonly Colo[] | undefined): Colo[] {
  const used = useUsedCodes()
  return useMemo(
    () =>
      (colos ?? []).filter(
        ({ code, up, dedicated_ips }) => !up || dedicated_ips.length > 0 || used.includes(` ${code} `),
      ),
    [colos, used],
  )
}

/** Codes of the data centers recent sessions went through, as one text so that equal ones are equal. */
function useUsedCodes(): string {
  const seen = version.value
  return useMemo(() => {
    if (seen < 0) return ''
    const codes = new Set(
      allRows()
        .slice(-500)
        .flatMap(({ ingress, physical }) => [ingress, physical]),
    )
    codes.delete('')
    return ` ${[...codes].sort().join(' ')} `
  }, [seen])
}

/** Where the people of recent sessions are, one mark per person. */
function usePeople(): Marked[] {
  const seen = version.value
  const text = useMemo(() => {
    if (seen < 0) return '[]'
    const marks = new Map<string, Marked>()
    for (const { user, user_at } of allRows().slice(-2000)) {
      if (user_at !== null && user !== '' && marks.size < 12)
        marks.set(user, { name: user.replace(/@.*$/, ''), at: user_at })
    }
    return JSON.stringify([...marks.values()].sort((a, b) => a.name.localeCompare(b.name)))
  }, [seen])
  return useMemo(() => JSON.parse(text) as Marked[], [text])
}

interface ColoListProps {
  readonly colos: Resource<Colo[]>
  readonly shown: readonly Colo[]
  readonly onToggle: (colo: Colo) => void
}

function ColoList({ colos, shown, onToggle }: ColoListProps): JSX.Element {
  const { by_colo } = load.value
  const most = Math.max(1, ...Object.values(by_colo))
  const listed = [...shown].sort(
    (a, b) => b.dedicated_ips.length - a.dedicated_ips.length || a.code.localeCompare(b.code),
  )
  return (
    <section class="card" aria-labelledby="colos-title">
      <header>
        <h2 id="colos-title">Data centers</h2>
        <span class="muted small">switch one off and watch</span>
      </header>
      {colos.value === undefined && colos.failure === undefined && <Loading what="data centers" />}
      {colos.failure !== undefined && <Notice kind="bad">{colos.failure.message}</Notice>}
      <ul class="colo-list">
        {listed.map((colo) => (
          <li key={colo.code} class={colo.up ? '' : 'down'}>
            <div class="row spread">
              <span>
                <strong>{colo.code}</strong> <span class="muted">{colo.city}</span>
              </span>
              <button
                type="button"
                role="switch"
                class="switch"
                aria-checked={colo.up}
                aria-label={`${colo.code} ${colo.city}`}
                onClick={() => onToggle(colo)}
              >
                {colo.up ? 'up' : 'down'}
              </button>
            </div>
            {colo.dedicated_ips.map(({ ipv4, ipv6 }) => (
              <p key={`${ipv4} ${ipv6}`} class="mono small">
                {ipv4} {ipv6 !== null && <span class="muted">{ipv6}</span>}
              </p>
            ))}
            <ColoLoad sessions={by_colo[colo.code] ?? 0} most={most} />
          </li>
        ))}
      </ul>
    </section>
  )
}

function ColoLoad({ sessions, most }: { readonly sessions: number; readonly most: number }): JSX.Element {
  return (
    <div class="colo-load">
      <div class="bar" aria-hidden="true" hidden={sessions === 0}>
        <span style={{ width: `${(sessions / most) * 100}%` }} />
      </div>
      <span class="small muted">{sessions === 0 ? 'idle' : `${plural(sessions, 'port')} in use`}</span>
    </div>
  )
}

function Latest(): JSX.Element {
  const rows = version.value < 0 ? [] : allRows().slice(-LATEST).reverse()
  return (
    <section class="card" aria-labelledby="latest-title">
      <header>
        <h2 id="latest-title">Latest sessions</h2>
        <a href="/sessions">All sessions</a>
      </header>
      {rows.length === 0 ? (
        <Empty title="Quiet so far">
          <p>Send something through the proxy and watch it cross the map:</p>
          <code>curl -x http://127.0.0.1:8080 -U bob@example.com:lab-bob http://ipv4.icanhazip.com/</code>
        </Empty>
      ) : (
        <ul class="latest">
          {rows.map((row) => (
            <LatestRow key={row.id} row={row} />
          ))}
        </ul>
      )}
    </section>
  )
}

function LatestRow({ row }: { readonly row: Row }): JSX.Element {
  return (
    <li>
      <a href={`/sessions?id=${row.id}`}>
        <span class="muted">{formatTime(row.at)}</span>
        <span class="latest-who">
          {row.user === '' ? 'nobody' : row.user.replace(/@.*$/, '')} → {row.target === '' ? '–' : row.target}
        </span>
        <OutcomeBadge tone={toneOf(row)} />
        <span class="latest-why">{sentence(row.error?.message ?? row.reason)}</span>
      </a>
    </li>
  )
}
