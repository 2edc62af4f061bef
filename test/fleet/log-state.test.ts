// The log of a fleet as a state machine: whatever members do at the same moment, cut off or late, beside strangers and old messages,
// they all come to the same, and what was acknowledged is there.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  chainAfter,
  FleetIdentity,
  LOG_FORMAT,
  type LogAct,
  type LogMessage,
  type MemberEntry,
} from '../../src/fleet/log-message.ts'
import { LogState, type PlacedMessage, rowsAfter } from '../../src/fleet/log-state.ts'
import { LOST_AFTER_MS, MemberWatch } from '../../src/fleet/member-watch.ts'
import type { JournalRow } from '../../src/store/journal.ts'

const row = (id: string, body: string): JournalRow => ({
  kind: 'colo',
  id,
  body,
  version: 1,
  createdAt: 0,
  updatedAt: 0,
  deletedAt: null,
  source: 'api',
  seed: null,
})
const change = (id: string, body: string): LogAct => ({ type: 'change', changes: [{ write: row(id, body) }] })
const entryOf = (name: string, incarnation: string): MemberEntry => ({
  name,
  incarnation,
  colo: name.toUpperCase(),
  advertise: '127.0.0.1:1',
  version: '0.1.0',
  drained: false,
})

/** A member with its copy of everything, as `FleetLog` and the store keep it. */
class Member {
  readonly name: string
  readonly state = new LogState()
  rows: readonly JournalRow[] = []
  /** place → the chain behind it */
  readonly history = new Map<number, string>()

  constructor(name: string) {
    this.name = name
  }

  write(act: LogAct, at: number): PlacedMessage {
    const { state } = this
    const whole = {
      share: act.type === 'open' ? act.share : state.share,
      members: [...state.membersAfter(act).values()],
      rows: rowsAfter(this.rows, act),
    }
    const message: LogMessage = {
      format: LOG_FORMAT,
      id: `${this.name} ${at}`,
      by: this.name,
      version: '0.1.0',
      at,
      revision: state.position + 1,
      before: state.chain,
      act,
      ...(act.type === 'open' || at % 5 === 0 ? { whole } : {}),
    }
    return { place: state.position + 1, message, bytes: Buffer.from(JSON.stringify(message)) }
  }

  read(placed: PlacedMessage) {
    const verdict = this.state.read(placed)
    if (verdict.kind === 'taken') {
      this.rows = rowsAfter(this.rows, verdict.message.act)
      this.history.set(placed.place, this.state.chain)
    }
    return verdict
  }

  begin(placed: PlacedMessage): boolean {
    const whole = this.state.begin(placed)
    if (whole === undefined) return false
    this.rows = whole.rows
    this.history.set(placed.place, this.state.chain)
    return true
  }
}

const contents = ({ state, rows }: Member) => ({
  revision: state.revision,
  chain: state.chain,
  members: [...state.members.values()],
  rows: rows.map(({ id, body }) => `${id}=${body}`),
})

const STEP = fc.oneof(
  fc.record({
    do: fc.constantFrom('change', 'join', 'drain', 'leave'),
    who: fc.nat(3),
    what: fc.constantFrom('LHR', 'AMS', 'FRA'),
  }),
  fc.record({ do: fc.constantFrom('read', 'read all', 'start again'), who: fc.nat(3), what: fc.constant('') }),
  fc.record({ do: fc.constantFrom('stranger', 'old message'), who: fc.nat(30), what: fc.constant('') }),
)

test('every order of changes, joins, cuts and strangers leaves one history, and all of what was acknowledged', () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
      const stream: Omit<PlacedMessage, 'place'>[] = []
      const acknowledged: PlacedMessage[] = []
      const members = ['ams', 'lhr', 'fra', 'ewr'].map((name) => new Member(name))
      const everybody = [...members]
      const placedAt = (place: number): PlacedMessage => ({ ...(stream[place - 1] ?? expect.unreachable()), place })
      const readNext = (member: Member) => {
        if (member.state.position < stream.length)
          expect(member.read(placedAt(member.state.position + 1)).kind).not.toBe('stop')
      }
      const readAll = (member: Member) => {
        while (member.state.position < stream.length) readNext(member)
      }
      /** as NATS does: for the next place or not at all */
      const propose = (member: Member, act: LogAct, at: number) => {
        const placed = member.write(act, at)
        if (placed.place !== stream.length + 1) return
        stream.push(placed)
        acknowledged.push(placed)
        member.read(placed)
      }
      propose(
        members[0] ?? expect.unreachable(),
        { type: 'open', share: { rules: 'x' }, rows: [row('AMS', 'seed')] },
        0,
      )
      for (const [at, { do: what, who, what: id }] of steps.entries()) {
        const member = members[who] ?? members[0] ?? expect.unreachable()
        // nobody writes before it has read the first message
        if (what !== 'stranger' && what !== 'old message' && member.state.revision === 0) readAll(member)
        if (what === 'change') propose(member, change(id, String(at)), at)
        if (what === 'join') propose(member, { type: 'join', entry: entryOf(member.name, String(at)) }, at)
        if (what === 'drain') propose(member, { type: 'drain', member: member.name, drained: at % 2 === 0 }, at)
        if (what === 'leave') propose(member, { type: 'leave', member: member.name }, at)
        if (what === 'read') readNext(member)
        if (what === 'read all') readAll(member)
        if (what === 'start again') {
          const anew = new Member(member.name)
          const last = stream.findLastIndex(({ message }) => message?.whole !== undefined) + 1
          if (!anew.begin(placedAt(last))) readAll(anew)
          members[members.indexOf(member)] = anew
          everybody.push(anew)
        }
        if (what === 'stranger') stream.push({ message: undefined, bytes: Buffer.from('nonsense') })
        if (what === 'old message') stream.push(stream[who % stream.length] ?? expect.unreachable())
      }
      for (const member of everybody) readAll(member)
      for (const member of everybody) expect(contents(member)).toEqual(contents(everybody[0] ?? expect.unreachable()))
      for (const { place, message } of acknowledged) expect(stream[place - 1]?.message?.id).toBe(message?.id)
      const chains = new Map<number, string>()
      for (const { history } of everybody) {
        for (const [place, chain] of history) {
          expect(chains.get(place) ?? chain).toBe(chain)
          chains.set(place, chain)
        }
      }
      expect([...chains.keys()].length).toBeGreaterThanOrEqual(acknowledged.length)
    }),
    { numRuns: 300 },
  )
})

const opened = () => {
  const member = new Member('ams')
  member.read(member.write({ type: 'open', share: {}, rows: [] }, 0))
  return member
}

test('a gap, another history and a later version stop a member, and change nothing', () => {
  const member = opened()
  const before = contents(member)
  const next = member.write(change('LHR', '1'), 1)
  const message = next.message ?? expect.unreachable()
  const changed = (more: object): PlacedMessage => ({ ...next, message: { ...message, ...more } as LogMessage })
  expect(member.read({ ...next, place: 3 })).toMatchObject({ kind: 'stop', code: 'fleet.gap' })
  expect(member.read(changed({ before: 'other' }))).toMatchObject({ kind: 'stop', code: 'fleet.history_differs' })
  expect(member.read(changed({ format: 2 }))).toMatchObject({ kind: 'stop', code: 'fleet.newer_version' })
  expect(member.read(changed({ act: { type: 'more' } }))).toMatchObject({ kind: 'stop', code: 'fleet.newer_version' })
  expect(contents(member)).toEqual(before)
  expect(member.read(next).kind).toBe('taken')
  expect(member.read(next).kind).toBe('known')
  expect(member.state.chain).toBe(chainAfter(message.before, next.bytes))
})

test('what is no certificate and no signature proves nothing', () => {
  const open = FleetIdentity.prototype.open
  expect(
    open.call(Object.create(FleetIdentity.prototype), { bytes: Buffer.of(1), signature: '', certificate: '' }),
  ).toBe(undefined)
})

test('a member is lost after three seconds without a word, or with its link; who hears nobody judges by links alone', () => {
  let now = 0
  const watch = new MemberWatch('ams', () => now)
  watch.setMembers(new Map(['ams', 'lhr'].map((name) => [name, entryOf(name, 'one')])))
  let count = 0
  const beat = (by: string, more = {}) =>
    watch.hear({
      by,
      incarnation: 'one',
      count: ++count,
      revision: 1,
      at: 0,
      sessions: 0,
      trouble: '',
      leaving: false,
      ...more,
    })
  const lost = () => [...watch.lostColos()]
  now = LOST_AFTER_MS * 2
  expect(lost()).toEqual([])
  beat('ams')
  expect(lost()).toEqual([])
  now += LOST_AFTER_MS - 1
  beat('ams')
  now += 2
  expect(lost()).toEqual(['LHR'])
  beat('lhr')
  expect(lost()).toEqual([])
  watch.setLink('lhr', 'down')
  expect(lost()).toEqual(['LHR'])
  watch.setLink('lhr', 'up')
  expect(beat('lhr', { count: 1 })).toBe(false)
  expect(beat('lhr', { incarnation: 'two' })).toBe(false)
  beat('lhr', { leaving: true })
  expect(lost()).toEqual(['LHR'])
  watch.setMembers(new Map(['ams', 'lhr'].map((name) => [name, entryOf(name, 'two')])))
  expect(lost()).toEqual([])
})
