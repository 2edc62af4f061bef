// Every service with an allowlist, every group of people, every virtual network, any few data centers down: is everybody
// let in? Where not, the smallest situation in which somebody is refused.

import { parseExpression } from '../expression/index.ts'
import { type Allowlist, letsIn } from '../policy/allowlist.ts'
import { GATEWAY_SCHEME } from '../policy/fields.ts'
import type { Answer } from './answer.ts'
import { rulesUnder } from './cut.ts'
import { type ProveSettings, verdictOnEnd } from './invariants.ts'
import { type Found, Proof } from './proof.ts'
import type { Demand } from './statements.ts'
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
  { file, config, snapshot, world }: Subject,
  question: AllowlistQuestion,
): AsyncGenerator<AllowlistAnswer> {
  const services = config.origins.flatMap((one) => (one.kind === 'saas' ? [one] : []))
  const questions = services.length * world.groups.length * snapshot.account.virtualNetworks.length
  let answered = 0
  question.onProgress?.(answered, questions)
  for (const service of services) {
    const asked = parseExpression(`net.fqdn.host == ${JSON.stringify(service.name)}`, GATEWAY_SCHEME)
    const only = rulesUnder(snapshot, asked.ok ? asked.expression : undefined)
    const proof = await Proof.open({ policies: [snapshot], world, conditions: [], only })
    try {
      for await (const answer of answersFor(proof, service, { snapshot, world }, question)) {
        yield { ...answer, file }
        question.onProgress?.(++answered, questions)
      }
    } finally {
      proof.close()
    }
  }
}

async function* answersFor(
  proof: Proof,
  { name: service, allow }: Pick<Allowlist, 'name' | 'allow'>,
  { snapshot, world }: Pick<Subject, 'snapshot' | 'world'>,
  { colosDown, timeoutMs, signal }: AllowlistQuestion,
): AsyncGenerator<AllowlistAnswer> {
  const { connection, policies } = proof
  const demand: Demand = { networks: [['let_in_by', allow]] }
  const ends = policies[0]?.ends ?? []
  const refused = or(
    ends.flatMap((end): Term[] => (verdictOnEnd(demand, end, snapshot.account) === 'holds' ? [] : [end.when])),
  )
  const goesThere = and([connection.isHost(service), connection.isTransport('tcp')])
  for (const [at, group] of world.groups.entries()) {
    const members = world.people.filter(({ identity }) => identity.groups.some(({ id }) => id === group.id))
    const who = members.length > 0 ? or(members.map(connection.people.is)) : connection.people.onlyIn(at)
    for (const network of snapshot.account.virtualNetworks) {
      if (signal?.aborted === true) return
      const start = performance.now()
      const found = await proof.find({
        where: [goesThere, connection.inNetwork(network.id), who, refused],
        colosDown,
        people: members.length > 0 ? 'configured' : 'anybody',
        isFound: ({ decisions: [decision] }) =>
          decision !== undefined && !letsIn({ name: service, addresses: [], allow }, decision.egress?.address),
        timeoutMs,
        signal,
      })
      yield {
        name: `${service} lets in ${group.name} on ${network.name}`,
        service,
        group: group.name,
        virtualNetwork: network.name,
        ...answerOf(found),
        ms: performance.now() - start,
      }
    }
  }
}

function answerOf(found: Found): Pick<Answer, 'answer' | 'reason' | 'witness' | 'expected'> {
  if (found.kind === 'none') return { answer: 'proven', reason: 'everybody is let in', witness: null }
  if (found.kind === 'unknown') return { answer: 'undecided', reason: found.why, witness: null }
  const { witness } = found
  const { colosDown: down } = witness
  const reason =
    down.length === 0
      ? 'somebody is refused with every data center up'
      : `somebody is refused while ${down.join(' and ')} ${down.length === 1 ? 'is' : 'are'} down`
  return { answer: 'refuted', reason, witness, expected: { let_in: true } }
}
