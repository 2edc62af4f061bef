// The lab's part in a fleet, where its configuration names one; everything of it is loaded then and not before.

import type { FleetPort, FleetStatus } from '../api/index.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { differingSections } from '../config/read-fleet.ts'
import type { DecisionContext } from '../decider/decider.ts'
import { ChangeError } from '../errors/change-error.ts'
import { inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { WatchedMember } from '../fleet/member-watch.ts'
import type { EventLog } from '../log/event-log.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { ip, parseIp } from '../net/ip.ts'
import type { MemberOf } from '../outbound/member-attempt.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { Journal } from '../store/journal.ts'
import type { Store } from '../store/store.ts'
import type { StartOptions } from './start-lab.ts'
import type { ThreadDataPlane } from './thread-data-plane.ts'

export interface FleetMember {
  /** what the store begins with */
  readonly journal: Journal
  readonly port: FleetPort
  readonly memberOf: MemberOf
  /** The configuration without the addresses that are at other members. */
  withoutOthers(config: LabConfig): LabConfig
  /** Throws ChangeError for a file that says something else than the fleet's. */
  admits(next: LabConfig): void
  annotate(record: SessionRecord): SessionRecord
  /** From now on the store is what the fleet says. */
  follow(store: Store, sessions: () => number): void
  /** Listens for the other members, and becomes one. Rejects with an InputError. */
  join(parts: JoinParts): Promise<void>
  troubles(): readonly string[]
  close(): Promise<void>
}

export interface JoinParts {
  readonly store: Store
  readonly context: Pick<DecisionContext, 'ports'>
  readonly dataPath: Pick<ThreadDataPlane, 'dial' | 'clock'>
}

/** Undefined: the lab is alone. Throws an InputError `fleet.*` with why it cannot be a member. */
export async function openFleet(
  config: LabConfig,
  { state, ephemeral }: StartOptions,
  events: EventLog,
): Promise<FleetMember | undefined> {
  const { fleet: settings, file, timeouts } = config
  if (settings === undefined) return undefined
  const [{ Fleet: Member }, { FleetLinks }, { attemptAt }] = await Promise.all([
    import('../fleet/fleet.ts'),
    import('../fleet/fleet-links.ts'),
    import('../fleet/carried-attempt.ts'),
  ])
  const fleet = await Member.open(config, settings, events)
  const links = new FleetLinks(fleet, events)
  const sessions = fleet.sessionsOf(ephemeral ? undefined : state, config.log.keep)
  const { member, colo, name, onPartition } = settings
  const status = (): FleetStatus => {
    const { standing } = fleet
    return {
      name,
      member,
      standing: standing.kind,
      code: standing.kind === 'stopped' ? standing.code : null,
      why: standing.kind === 'following' ? null : standing.why,
      since: standing.kind === 'following' ? null : new Date(standing.since).toISOString(),
      on_partition: onPartition,
      revision: fleet.revision,
      carried_for_others: links.carried,
      sessions_sent: sessions.sent,
      members: fleet.watch.members().map((each) => statusOf(each, fleet)),
    }
  }
  return {
    journal: fleet.journal(),
    memberOf: links.memberOf,
    port: {
      transact: (run, until) => fleet.changes.transact(run, until),
      status,
      drain: (which, drained) => fleet.changes.act({ type: 'drain', member: which, drained }),
      followSessions: (listener) => sessions.follow(listener),
      recentSessions: () => sessions.recent(),
      findSession: (id) => sessions.find(id),
      leave: (which) => fleet.changes.act({ type: 'leave', member: which }),
    },
    withoutOthers(next) {
      const others = new Set([...fleet.members.values()].filter((entry) => entry.name !== member).map((e) => e.colo))
      return { ...next, dedicatedIps: next.dedicatedIps.filter((dedicated) => !others.has(dedicated.colo)) }
    },
    admits(next) {
      const differing = differingSections(settings.share, next.fleet?.share ?? {})
      if (next.fleet === undefined || differing.length === 0) return
      const what = differing.map((section) => `\`${section}\``).join(', ')
      const message = `${what} would no longer be what fleet \`${name}\` has; stop all members to change what they have in common`
      throw new ChangeError('change.fleet_file', message)
    },
    annotate: (record) => {
      const note = { member, cutOff: fleet.standing.kind !== 'following' }
      return { ...record, Lab: { ...record.Lab, fleet: note } }
    },
    follow: (store, open) => fleet.follow(store, open),
    async join({ store, context, dataPath }) {
      try {
        await links.serve({
          clock: dataPath.clock,
          idleMs: timeouts.idleMs,
          dial: async ({ egress, destination, facts, peer, signal }) => {
            const target = { kind: 'ip', ...destination } as const
            const from = { ip: parseIp(peer) ?? ip('0.0.0.0'), port: 0 }
            const wish = { transport: 'tcp', peer: from, virtualNetworkId: facts.vnet, signal } as const
            const [candidate] = await context.ports.resolve(target, wish)
            if (candidate === undefined) throw new RangeError('an address has one candidate')
            const attempt = attemptAt(store.current(), { member, colo }, { egress, candidate, facts })
            return dataPath.dial([attempt], { signal, timeoutMs: timeouts.connectMs })
          },
        })
      } catch (thrown) {
        const where = formatEndpoint(settings.listen)
        throw inputError('listen.failed', `cannot listen for other members at \`${where}\`: ${messageOf(thrown)}`, {
          file,
        })
      }
      await sessions.start()
      await fleet.join(file)
    },
    troubles: () => fleet.troubles(),
    close: async () => {
      await sessions.close()
      await fleet.close()
      await links.close()
    },
  }
}

function statusOf(
  { entry, isSelf, lost, link, beat, silentMs }: WatchedMember,
  { revision, standing }: Pick<Fleet, 'revision' | 'standing'>,
) {
  const ownTrouble = standing.kind === 'following' ? '' : standing.why
  const trouble = isSelf ? ownTrouble : (beat?.trouble ?? '')
  const usable = trouble === '' ? ('up' as const) : ('cut_off' as const)
  const reached = isSelf ? revision : (beat?.revision ?? 0)
  return {
    name: entry.name,
    colo: entry.colo,
    advertise: entry.advertise,
    version: entry.version,
    is_self: isSelf,
    state: entry.drained ? ('drained' as const) : lost === undefined ? usable : ('lost' as const),
    why: lost ?? null,
    link,
    revision: reached,
    behind: Math.max(0, revision - reached),
    sessions: beat?.sessions ?? 0,
    trouble,
    silent_seconds: silentMs === undefined ? null : Math.round(silentMs / 100) / 10,
  }
}
