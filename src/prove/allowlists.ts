// Every service with an allowlist, every group of people, every virtual network, any few data centers down: is everybody
// let in? Where not, the smallest situation in which somebody is refused.

import { letsIn } from '../policy/allowlist.ts'
import type { Answer } from './answer.ts'
import { type Demand, type ProveSettings, verdictOnEnd } from './invariants.ts'
import { Proof } from './proof.ts'
import type { Subject } from './subject.ts'
import { and, or, type Term } from './terms.ts'

export interface AllowlistAnswer extends Answer {
  readonly service: string
  readonly group: string
  readonly virtualNetwork: string
}

export interface AllowlistQuestion extends ProveSettings {
  /** most data centers that are down at once, beside those that are */
  readonly colosDown: number
}

/** One answer per service, group and virtual network. Groups without members stand for anybody in them alone. */
export async function* proveAllowlists(
  { config, snapshot, world }: Subject,
  { colosDown, timeoutMs, signal }: AllowlistQuestion,
): AsyncGenerator<AllowlistAnswer> {
  const services = config.origins.filter(({ kind }) => kind === 'saas')
  const proof = await Proof.open({ policies: [snapshot], world, conditions: [] })
  const [policy] = proof.policies
  const { connection } = proof
  try {
    for (const service of services) {
      const demand: Demand = { networks: [service.allow] }
      const refused = or(
        (policy?.ends ?? []).flatMap((end): Term[] =>
          verdictOnEnd(demand, end, snapshot.account) === 'holds' ? [] : [end.when],
        ),
      )
      for (const [at, group] of world.groups.entries()) {
        const members = world.people.filter(({ identity }) => identity.groups.some(({ id }) => id === group.id))
        const who = members.length > 0 ? or(members.map(connection.people.is)) : connection.people.onlyIn(at)
        for (const network of snapshot.account.virtualNetworks) {
          if (signal?.aborted === true) return
          const start = performance.now()
          const allow = { name: service.name, addresses: [], allow: service.allow }
          const found = await proof.find({
            where: [
              and([connection.isHost(service.name), connection.isTransport('tcp')]),
              connection.inNetwork(network.id),
              who,
              refused,
            ],
            colosDown,
            people: members.length > 0 ? 'configured' : 'anybody',
            isFound: ({ decisions: [decision] }) => decision !== undefined && !letsIn(allow, decision.egress?.address),
            timeoutMs,
            signal,
          })
          const name = `${service.name} lets in ${group.name} on ${network.name}`
          const common = {
            name,
            service: service.name,
            group: group.name,
            virtualNetwork: network.name,
            ms: performance.now() - start,
          }
          if (found.kind === 'none') yield { ...common, answer: 'proven', reason: 'everybody is let in', witness: null }
          else if (found.kind === 'unknown') yield { ...common, answer: 'undecided', reason: found.why, witness: null }
          else {
            const { witness } = found
            const reason =
              witness.colosDown.length === 0
                ? 'somebody is refused with every data center up'
                : `somebody is refused while ${witness.colosDown.join(' and ')} ${witness.colosDown.length === 1 ? 'is' : 'are'} down`
            yield { ...common, answer: 'refuted', reason, witness }
          }
        }
      }
    }
  } finally {
    proof.close()
  }
}
