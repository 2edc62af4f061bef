// The lab's time: set it, and see other sites' geolocation of the dedicated IPs catch up.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Clock, Geolocation } from '../api/shapes.ts'
import { formatDate, formatDay, sentence } from '../ui/format.ts'
import { Empty, Notice, Waiting } from '../ui/notice.tsx'
import { type Resource, useResource } from '../ui/resource.ts'
import { ForRole } from '../who.tsx'

const DAY_S = 86_400
const JUMPS = [
  ['− 1 day', -DAY_S],
  ['+ 1 day', DAY_S],
  ['+ 1 week', 7 * DAY_S],
  ['+ 6 weeks', 42 * DAY_S],
] as const

export function ClockView(): JSX.Element {
  const clock = useResource<Clock>('/lab/v1/clock')
  const geolocations = useResource<Geolocation[]>('/lab/v1/geolocations', { everyMs: 5000 })
  const [failure, setFailure] = useState<string>()
  const change = (action: Promise<unknown>) => {
    setFailure(undefined)
    action.then(
      () => {
        clock.reload()
        geolocations.reload()
      },
      (thrown: unknown) => setFailure(sentence(wordsOf(thrown))),
    )
  }
  const setTo = (time: string) => change(ask('PUT', '/lab/v1/clock', { body: { time } }))
  return (
    <>
      <div class="view-head">
        <h1>Clock</h1>
        <p class="muted">Sites learn the location of an address weeks late. Set the clock instead of waiting.</p>
      </div>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <section class="card card-body stack" aria-label="The lab's time">
        {clock.value === undefined ? <Waiting for={clock} what="the time" /> : <Time clock={clock.value} />}
        <div class="row">
          <ForRole needs="operator">
            {JUMPS.map(([words, seconds]) => (
              <button
                key={words}
                type="button"
                onClick={() => change(ask('POST', '/lab/v1/clock/advance', { body: { seconds } }))}
              >
                {words}
              </button>
            ))}
            <button
              type="button"
              disabled={clock.value?.offset_seconds === 0}
              onClick={() => change(ask('DELETE', '/lab/v1/clock'))}
            >
              Machine time
            </button>
          </ForRole>
        </div>
        <ForRole needs="operator">
          <SetForm onSet={setTo} />
        </ForRole>
      </section>
      <Geolocations geolocations={geolocations} onSet={setTo} />
    </>
  )
}

function Time({ clock }: { readonly clock: Clock }): JSX.Element {
  const [read, setRead] = useState({ clock, at: Date.now() })
  const [now, setNow] = useState(Date.now())
  useEffect(() => setRead({ clock, at: Date.now() }), [clock])
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  const lab = Date.parse(read.clock.time) + Math.max(0, now - read.at)
  const days = Math.round(read.clock.offset_seconds / DAY_S)
  const off = read.clock.offset_seconds
  return (
    <p>
      <time class="clock-time" dateTime={new Date(lab).toISOString()}>
        {formatDate(lab)}
      </time>
      <span class="muted">
        {off === 0
          ? 'the machine’s time'
          : `${daysApart(Math.abs(days))} ${off > 0 ? 'ahead of' : 'behind'} the machine`}
      </span>
    </p>
  )
}

function SetForm({ onSet }: { readonly onSet: (time: string) => void }): JSX.Element {
  const [time, setTime] = useState('')
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const at = new Date(time)
    if (!Number.isNaN(at.getTime())) onSet(at.toISOString())
  }
  return (
    <form class="row" onSubmit={submit}>
      <label class="row">
        <span>Set to</span>
        <input
          type="datetime-local"
          class="clock-input"
          required
          value={time}
          onInput={({ currentTarget }) => setTime(currentTarget.value)}
        />
      </label>
      <button type="submit">Set</button>
    </form>
  )
}

interface GeolocationsProps {
  readonly geolocations: Resource<Geolocation[]>
  readonly onSet: (time: string) => void
}

function Geolocations({ geolocations: { value: geolocations, failure }, onSet }: GeolocationsProps): JSX.Element {
  if (geolocations === undefined) return <Waiting for={{ failure }} what="geolocations" />
  if (geolocations.length === 0) return <Empty title="The account has no dedicated IPs" />
  return (
    <section class="card table-card" aria-labelledby="geo-title">
      <header>
        <h2 id="geo-title">Where geolocation databases place your addresses</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">Address</th>
            <th scope="col">Really at</th>
            <th scope="col">Sites see</th>
            <th scope="col">Databases know</th>
          </tr>
        </thead>
        <tbody>
          {geolocations.map((geolocation) => (
            <GeolocationRow key={`${geolocation.colo}${geolocation.ipv4}`} geolocation={geolocation} onSet={onSet} />
          ))}
        </tbody>
      </table>
    </section>
  )
}

function GeolocationRow({
  geolocation,
  onSet,
}: {
  readonly geolocation: Geolocation
  readonly onSet: (time: string) => void
}): JSX.Element {
  const { ipv4, ipv6, colo, place, seen, caught_up: caughtUp, updated_at: at } = geolocation
  return (
    <tr>
      <td>
        <code>{ipv4 ?? ipv6}</code>
      </td>
      <td data-head="Really at">
        {colo}, {nameOf(place)}
      </td>
      <td data-head="Sites see">
        <span class={caughtUp ? 'verdict good' : 'verdict warn'}>
          {caughtUp ? '✓' : '…'} {nameOf(seen)}
        </span>
      </td>
      <td data-head="Databases know">
        {at === null ? (
          <span class="muted">always did</span>
        ) : (
          <span class="row">
            {caughtUp ? 'since' : 'from'} {formatDay(Date.parse(at))}
            <ForRole needs="operator">
              <button type="button" class="small" onClick={() => onSet(caughtUp ? dayBefore(at) : at)}>
                {caughtUp ? 'Go to the day before' : 'Go there'}
              </button>
            </ForRole>
          </span>
        )}
      </td>
    </tr>
  )
}

function nameOf({ city, country }: Geolocation['place']): string {
  return [city, country].filter((part) => part !== null && part !== '').join(', ')
}

function dayBefore(at: string): string {
  return new Date(Date.parse(at) - DAY_S * 1000).toISOString()
}

function daysApart(days: number): string {
  if (days < 1) return 'less than a day'
  return days === 1 ? '1 day' : `${days} days`
}
