// Answers to questions about every connection, the JSON that is printed of them, and the command line that shows the
// same connection again.

import type { Decider } from '../decider/decider.ts'
import { explainConnection } from '../decider/explain-connection.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError } from '../errors/issue.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { type Explanation, explain } from '../policy/explain.ts'
import type { Witness } from './proof.ts'

export interface Answer {
  readonly name: string
  readonly answer: 'proven' | 'refuted' | 'undecided'
  /** one clause */
  readonly reason: string
  readonly ms: number
  readonly witness: Witness | null
  /** where the question is written */
  readonly file?: string
  readonly line?: number
}

/** A witness explained by one of its policies, the first unless told otherwise. */
export function explainWitness({ flow, snapshots }: Witness, at = 0): Explanation {
  const snapshot = snapshots[at]
  if (snapshot === undefined) throw new RangeError('a witness is decided by a policy')
  return explain(snapshot, flow)
}

/** A witness as documented: the flow's facts, the data centers that are down, the decision. */
export function witnessJson(witness: Witness | null, at = 0): unknown {
  if (witness === null) return null
  const { flow, decision } = explainWitness(witness, at)
  return { flow, colos_down: witness.colosDown, decision }
}

/** The documented form of an answer. */
export function answerJson({ name, answer, reason, ms, witness, file, line }: Answer): unknown {
  const place = file === undefined ? {} : { file, line }
  return { name, answer, reason, ms: Math.round(ms * 1000) / 1000, witness: witnessJson(witness), ...place }
}

/** Exit code of several answers: 0 all proven, 1 one refuted, 3 one not decided. */
export function exitCodeOfAnswers(answers: readonly Pick<Answer, 'answer'>[], allowUndecided = false): 0 | 1 | 3 {
  if (answers.some(({ answer }) => answer === 'refuted')) return 1
  return !allowUndecided && answers.some(({ answer }) => answer === 'undecided') ? 3 : 0
}

/** The arguments of `egresslab explain` that show the witness's connection and its decision; undefined where `explain`
 *  cannot be asked so, or was tried and says something else. */
export async function explainArguments(decider: Decider, witness: Witness): Promise<readonly string[] | undefined> {
  const { flow, colosDown, decisions } = witness
  const { identity, device, host, destination, source, transport } = flow
  const network = decider.snapshot.account.virtualNetworks.find(({ id }) => id === flow.virtualNetworkId)
  if (host !== undefined && !decider.config.destinations.some(({ name }) => name === host)) return undefined
  const target = host === undefined ? formatEndpoint(destination) : `${host}:${destination.port}`
  const family = destination.ip.family === 4 ? '4' : '6'
  const options = {
    ...(identity === undefined ? {} : { user: identity.email }),
    ...(network === undefined ? {} : { vnet: network.name }),
    ...(flow.proxyEndpoint === undefined ? {} : { endpoint: flow.proxyEndpoint }),
    ...(device === undefined ? {} : { device: device.name }),
    sourceIp: source.ip.text,
    protocol: transport,
    family,
  } as const
  try {
    const [{ explanation }] = await explainConnection(decider, target, { ...options, coloDown: colosDown })
    const { rule, outcome, egress } = explanation.decision
    const [decision] = decisions
    const isSame =
      rule?.id === decision?.rule?.id &&
      outcome === decision?.outcome &&
      (egress?.ipv4 ?? egress?.ipv6) === decision?.egress?.address.text
    if (!isSame) return undefined
  } catch (thrown) {
    if (thrown instanceof InputError || thrown instanceof GatewayError) return undefined
    throw thrown
  }
  const { sourceIp, ...rest } = options
  const given = Object.entries({ ...rest, 'source-ip': sourceIp }).filter(
    ([key, value]) => `${key} ${value}` !== 'protocol tcp',
  )
  return [
    target,
    ...given.flatMap(([key, value]) => [`--${key}`, value]),
    ...colosDown.flatMap((code) => ['--colo-down', code]),
  ]
}
