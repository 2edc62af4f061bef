// What is happening now: the world, the data centers with their addresses and load, and the last sessions.

import type { JSX } from 'preact'
import { useCallback, useMemo, useState } from 'preact/hooks'
import { wordsOf } from '../api/request.ts'
import type { Account, Colo, Row } from '../api/shapes.ts'
import { allRows, firstSeen, people, usedColos, version } from '../live/session-store.ts'
import { load, rate } from '../live/traffic.ts'
import { type Marked, WorldMap } from '../map/world-map.tsx'
import { ColoSwitch, switchColo } from '../ui/colo-switch.tsx'
import { formatTime, plural, sentence } from '../ui/format.ts'
import { Empty, Notice, Waiting } from '../ui/notice.tsx'
import { LetIn, OUTCOME_WORDS, OutcomeBadge, OutcomeShape, type Tone, toneOf } from '../ui/outcome.tsx'
import { type Resource, useResource } from '../ui/resource.ts'
import { OthersMissing } from './fleet.tsx'
import { type Played, ReplayBar, routesPlayed } from './live-replay.tsx'

const LATEST = 8
const LEGEND: readonly Tone[] = ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'failed']

export function LiveView(): JSX.Element {
  const colos = useResource<Colo[]>('/lab/v1/colos?all=true')
  const [failure, setFailure] = useState<string>()
  const index = useMemo(() => new Map((colos.value ?? []).map((colo) => [colo.code, colo])), [colos.value])
  const shown = useShownColos(colos.value)
  const marks = usePeople()
  const [played, setPlayed] = useState<Played>()
  const move = useCallback((row: number) => setPlayed((before) => before && { ...before, row }), [])
  const routes = useMemo(() => played && routesPlayed(played), [played])

  const toggle = async (colo: Colo) => {
    try {
      setFailure(undefined)
      await switchColo(colo)
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
        <Misses />
        <span class="row push">
          <button
            type="button"
            class="small"
            disabled={version.value >= 0 && allRows().length === 0}
            aria-pressed={played !== undefined}
            onClick={() => setPlayed(played === undefined ? { rows: [...allRows()], row: 0 } : undefined)}
          >
            Replay sessions
          </button>
          <a href="/matrix">Who leaves from where</a>
        </span>
      </div>
      {played !== undefined && <ReplayBar played={played} onMove={move} onEnd={() => setPlayed(undefined)} />}
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <OthersMissing />
      <div class="live-grid">
        <figure class="card map-card">
          <WorldMap
            colos={index}
            shown={shown}
            people={marks}
            onColo={toggle}
            {...(routes === undefined ? {} : { routes })}
            label={played === undefined ? 'Map of live connections' : 'Map of replayed connections'}
          />
          <figcaption class="legend">
            {LEGEND.map((tone) => (
              <span key={tone} class={`legend-entry tone-${tone}`}>
                <OutcomeShape tone={tone} />
                {tone === 'failed' ? 'failed or refused' : OUTCOME_WORDS[tone]}
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
      <Latest played={played} />
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

/** What went wrong among the sessions this page knows. */
function Misses(): JSX.Element | null {
  const known = version.value
  const [refused, failed] = useMemo(() => {
    const rows = known < 0 ? [] : allRows()
    return [rows.filter((row) => row.let_in === false).length, rows.filter((row) => toneOf(row) === 'failed').length]
  }, [known])
  if (refused + failed === 0) return null
  return (
    <p class="row small" role="status">
      {refused > 0 && (
        <a class="let-out" href="/sessions?let_in=refused">{`${refused.toLocaleString('en')} refused`}</a>
      )}
      {failed > 0 && <a class="let-out" href="/sessions?outcome=failed">{`${failed.toLocaleString('en')} failed`}</a>}
    </p>
  )
}

/** Those with dedicated IPs, those that are down, and those sessions went through. */
function useShownColos(colos: readonly Colo[] | undefined): Colo[] {
  const seen = firstSeen.value
  return useMemo(
    () =>
      (colos ?? []).filter(
        ({ code, up, dedicated_ips: ips }) => !up || ips.length > 0 || (seen >= 0 && usedColos.has(code)),
      ),
    [colos, seen],
  )
}

/** Where the people of the sessions are. */
function usePeople(): Marked[] {
  const seen = firstSeen.value
  return useMemo(
    () => (seen < 0 ? [] : [...people].map(([user, at]) => ({ name: user.replace(/@.*$/, ''), at }))),
    [seen],
  )
}

interface ColoListProps {
  readonly colos: Resource<Colo[]>
  readonly shown: readonly Colo[]
  readonly onToggle: (colo: Colo) => void
}

function ColoList({ colos, shown, onToggle }: ColoListProps): JSX.Element {
  const { by_colo } = load.value
  const limit = useResource<Account>('/lab/v1/account').value?.settings.max_connections_per_destination ?? 0
  const listed = [...shown].sort(
    (a, b) => b.dedicated_ips.length - a.dedicated_ips.length || a.code.localeCompare(b.code),
  )
  return (
    <section class="card" aria-labelledby="colos-title">
      <header>
        <h2 id="colos-title">Data centers</h2>
        <span class="muted small">take one down and watch</span>
      </header>
      {colos.value === undefined && <Waiting for={colos} what="data centers" />}
      <ul class="colo-list">
        {listed.map((colo) => (
          <li key={colo.code} class={colo.up ? '' : 'down'}>
            <div class="row spread">
              <span>
                <strong>{colo.code}</strong> <span class="muted">{colo.city}</span>
              </span>
              <span class="row">
                {colo.up && colo.dedicated_ips.length > 0 && (
                  <a
                    class="small"
                    href={`/matrix?down=${colo.code}`}
                    aria-label={`matrix without ${colo.code}`}
                    title={`Who would leave from where without ${colo.code}`}
                  >
                    matrix
                  </a>
                )}
                <ColoSwitch colo={colo} onToggle={() => onToggle(colo)} />
              </span>
            </div>
            {colo.dedicated_ips.map(({ ipv4, ipv6 }) => (
              <p key={`${ipv4} ${ipv6}`} class="mono small">
                {ipv4} {ipv6 !== null && <span class="muted">{ipv6}</span>}
              </p>
            ))}
            <ColoLoad sessions={by_colo[colo.code] ?? 0} limit={limit * Math.max(1, colo.dedicated_ips.length)} />
          </li>
        ))}
      </ul>
    </section>
  )
}

/** `limit`: connections to one destination at a time, over all addresses here; 0: not known. */
function ColoLoad({ sessions, limit }: { readonly sessions: number; readonly limit: number }): JSX.Element {
  return (
    <div class="colo-load">
      <div class="bar" aria-hidden="true" hidden={sessions === 0}>
        <span style={{ width: `${limit === 0 ? 0 : Math.min(100, (sessions / limit) * 100)}%` }} />
      </div>
      <span class="small muted">
        {sessions === 0 ? 'idle' : `${plural(sessions, 'port')} in use`}
        {sessions > 0 && limit > 0 && ` of ${limit.toLocaleString('en')} per destination`}
      </span>
    </div>
  )
}

function Latest({ played }: { readonly played: Played | undefined }): JSX.Element {
  const known = version.value < 0 ? [] : (played?.rows.slice(0, played.row + 1) ?? allRows())
  const rows = known.slice(-LATEST).reverse()
  return (
    <section class="card" aria-labelledby="latest-title">
      <header>
        <h2 id="latest-title">{played === undefined ? 'Latest sessions' : 'Latest sessions then'}</h2>
        <a href="/sessions">All sessions</a>
      </header>
      {rows.length === 0 ? (
        <Empty title="No sessions yet">
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
        <span class="row">
          <OutcomeBadge tone={toneOf(row)} />
          <LetIn row={row} />
        </span>
        <span class="latest-why">{sentence(row.error?.message ?? row.reason)}</span>
      </a>
    </li>
  )
}
