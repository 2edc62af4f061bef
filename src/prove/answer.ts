// Answers to questions about every connection, the JSON that is printed of them, and the command line that shows the
// same connection again.

import type { Expectation } from '../analysis/policy-test.ts'
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
  /** what a policy test of the witness would have to expect; absent where no test can say it */
  readonly expected?: Expectation
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

/** A connection as `explain` and policy tests ask about it, by the keys of a test's `flow`. */
export interface AskedWitness {
  readonly destination: string
  readonly user?: string
  readonly vnet?: string
  readonly endpoint?: string
  readonly device?: string
  readonly protocol: 'tcp' | 'udp'
  readonly family: 4 | 6
  readonly source_ip: string
  readonly colos_down?: readonly string[]
}

/** How to ask about the witness's connection; undefined where it cannot be asked about so, or was and is decided
 *  otherwise. */
export async function askedOf(decider: Decider, witness: Witness): Promise<AskedWitness | undefined> {
  const { flow, colosDown, decisions } = witness
  const { identity, device, host, destination, source, transport } = flow
  const network = decider.snapshot.account.virtualNetworks.find(({ id }) => id === flow.virtualNetworkId)
  if (host !== undefined && !decider.config.destinations.some(({ name }) => name === host)) return undefined
  const asked: AskedWitness = {
    destination: host === undefined ? formatEndpoint(destination) : `${host}:${destination.port}`,
    ...(identity === undefined ? {} : { user: identity.email }),
    ...(network === undefined ? {} : { vnet: network.name }),
    ...(flow.proxyEndpoint === undefined ? {} : { endpoint: flow.proxyEndpoint }),
    ...(device === undefined ? {} : { device: device.name }),
    protocol: transport,
    family: destination.ip.family,
    source_ip: source.ip.text,
    ...(colosDown.length === 0 ? {} : { colos_down: colosDown }),
  }
  try {
    const { destination: target, family, source_ip: sourceIp, colos_down: _, ...options } = asked
    const given = { ...options, family: family === 4 ? '4' : '6', sourceIp, coloDown: colosDown } as const
    const [{ explanation }] = await explainConnection(decider, target, given)
    const { rule, outcome, egress } = explanation.decision
    const [decision] = decisions
    const isSame =
      rule?.id === decision?.rule?.id &&
      outcome === decision?.outcome &&
      (egress?.ipv4 ?? egress?.ipv6) === decision?.egress?.address.text
    return isSame ? asked : undefined
  } catch (thrown) {
    if (thrown instanceof InputError || thrown instanceof GatewayError) return undefined
    throw thrown
  }
}

/** The arguments of `egresslab explain` that show the connection and its decision. */
export function explainArguments(asked: AskedWitness): readonly string[] {
  const { destination, protocol, source_ip: sourceIp, colos_down: colosDown = [], ...options } = asked
  return [
    destination,
    ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]),
    ...(protocol === 'tcp' ? [] : ['--protocol', protocol]),
    '--source-ip',
    sourceIp,
    ...colosDown.flatMap((code) => ['--colo-down', code]),
  ]
}

/** Refuted answers as a file of policy tests for this configuration; each fails until its answer is another one. */
export function testsOfAnswers(
  config: string,
  refuted: readonly { readonly name: string; readonly flow: AskedWitness; readonly expect: Expectation }[],
): string {
  const cases = refuted.map(({ name, flow, expect }) =>
    [
      `  - name: ${JSON.stringify(name)}`,
      `    flow: ${JSON.stringify(flow)}`,
      `    expect: ${JSON.stringify(expect)}`,
    ].join('\n'),
  )
  return [`config: ${JSON.stringify(config)}`, 'cases:', ...cases, ''].join('\n')
}
