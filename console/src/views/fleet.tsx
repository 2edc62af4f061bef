// The fleet as this member sees it: who is there, how far each has come, and what a member that is cut off says of itself.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { Fleet, FleetMember } from '../api/shapes.ts'
import { connection, fleet } from '../live/traffic.ts'
import { formatDay, formatTime, plural, sentence } from '../ui/format.ts'
import { Empty, Loading, Notice } from '../ui/notice.tsx'
import { ForRole } from '../who.tsx'

/** Every state has a mark and a word, so that none is told by its colour alone. */
const STATES: Readonly<Record<FleetMember['state'], readonly [look: string, words: string]>> = {
  up: ['good', '✓ live'],
  cut_off: ['warn', '! cut off'],
  drained: ['warn', '– drained'],
  lost: ['bad', '✕ lost'],
}

export function FleetView(): JSX.Element {
  const now = fleet.value
  const [failure, setFailure] = useState<string>()
  if (now === undefined) return connection.value === 'live' ? <Alone /> : <Loading what="the fleet" />
  const drain = ({ name, state }: FleetMember) => {
    setFailure(undefined)
    const body = { drained: state !== 'drained' }
    ask<Fleet>('PUT', `/lab/v1/fleet/members/${encodeURIComponent(name)}`, { body }).then(
      (answer) => {
        fleet.value = answer
      },
      (thrown: unknown) => setFailure(sentence(wordsOf(thrown))),
    )
  }
  return (
    <>
      <div class="view-head">
        <h1>Fleet</h1>
        <p class="muted">
          {now.name} at revision {now.revision}, seen from {now.member}
        </p>
      </div>
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <Members members={now.members} onDrain={drain} />
      <section class="card card-body" aria-labelledby="own-title">
        <h2 id="own-title">This member</h2>
        <dl class="facts">
          <dt>Follows the fleet</dt>
          <dd>{now.standing === 'following' ? 'yes' : `not since ${sinceOf(now)}: ${now.why}`}</dd>
          <dt>Where it is cut off</dt>
          <dd>{now.on_partition === 'refuse' ? 'it refuses connections' : 'connections go on by its last policy'}</dd>
          <dt>Carries for others</dt>
          <dd>{plural(now.carried_for_others, 'connection')}</dd>
          <dt>Sent to the fleet</dt>
          <dd>{plural(now.sessions_sent, 'session')} since it started</dd>
        </dl>
      </section>
    </>
  )
}

interface MembersProps {
  readonly members: readonly FleetMember[]
  readonly onDrain: (member: FleetMember) => void
}

function Members({ members, onDrain }: MembersProps): JSX.Element {
  return (
    <section class="card table-card" aria-labelledby="members-title">
      <header>
        <h2 id="members-title">Members</h2>
        <span class="muted small">each is a data center</span>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">Member</th>
            <th scope="col">Data center</th>
            <th scope="col">State</th>
            <th scope="col">Link</th>
            <th scope="col">Revision</th>
            <th scope="col">Open</th>
            <th scope="col">Heard</th>
            <th scope="col">New connections</th>
          </tr>
        </thead>
        <tbody>
          {members.map((member) => (
            <MemberRow key={member.name} member={member} onDrain={() => onDrain(member)} />
          ))}
        </tbody>
      </table>
    </section>
  )
}

function MemberRow({ member, onDrain }: { readonly member: FleetMember; readonly onDrain: () => void }): JSX.Element {
  const { name, colo, state, why, trouble, link, revision, behind, sessions, version } = member
  const [look, words] = STATES[state]
  const reason = why ?? trouble
  return (
    <tr>
      <td>
        <a href={`/sessions?member=${encodeURIComponent(name)}`} title={`Sessions of ${name}`}>
          {name}
        </a>
        {member.is_self && <span class="chip">this one</span>}
        <span class="muted small"> {version}</span>
      </td>
      <td data-head="Data center">{colo}</td>
      <td data-head="State">
        <span class={`verdict ${look}`}>{words}</span>
        {reason !== '' && state !== 'drained' && <span class="small"> {reason}</span>}
      </td>
      <td data-head="Link">
        {link === 'self' ? <span class="muted">–</span> : link}
        {link !== 'self' && <span class="muted small mono"> {member.advertise}</span>}
      </td>
      <td data-head="Revision">
        {revision}
        {behind > 0 && <strong> ({behind} behind)</strong>}
      </td>
      <td data-head="Open">{plural(sessions, 'session')}</td>
      <td data-head="Heard">{heardOf(member)}</td>
      <td data-head="New connections">
        <ForRole needs="operator">
          <button
            type="button"
            class="small"
            aria-label={state === 'drained' ? `Bring back ${name}` : `Drain ${name}`}
            onClick={onDrain}
          >
            {state === 'drained' ? 'Bring back' : 'Drain'}
          </button>
        </ForRole>
      </td>
    </tr>
  )
}

function heardOf({ is_self: isSelf, silent_seconds: silent }: FleetMember): string {
  if (isSelf) return '–'
  if (silent === null) return 'never'
  return silent < 3 ? 'now' : `${Math.round(silent)} s ago`
}

function Alone(): JSX.Element {
  return (
    <Empty title="This lab is alone">
      <p>
        Its configuration has no section <code>fleet</code>.
      </p>
    </Empty>
  )
}

/** On every page: nothing can be changed at this member, and why. */
export function CutOffBanner(): JSX.Element | null {
  const now = fleet.value
  if (now === undefined || now.standing === 'following') return null
  return (
    <div class="lost-banner" role="alert">
      <strong>
        {now.standing === 'cut_off' ? 'Cut off from' : 'No longer follows'} fleet {now.name} since {sinceOf(now)}.
      </strong>{' '}
      Changes are refused here, and revision {now.revision} stays in force
      {now.on_partition === 'refuse' ? '; connections are refused too' : ''}: {now.why}.
    </div>
  )
}

/** Where sessions are shown: those of other members come by NATS. */
export function OthersMissing(): JSX.Element | null {
  const now = fleet.value
  if (now?.standing !== 'cut_off') return null
  return (
    <Notice kind="warn">
      NATS is away: of the other members there are the sessions until {sinceOf(now)}. The rest comes when it is back.
    </Notice>
  )
}

function sinceOf({ since }: Fleet): string {
  const at = Date.parse(since ?? '')
  return Number.isNaN(at) ? 'an unknown time' : `${formatDay(at)} ${formatTime(at)}`
}
