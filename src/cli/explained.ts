// Explaining a hypothetical connection: one explanation per address of its destination, in the order they would be tried.

import { didYouMean } from '../errors/closest.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError } from '../errors/issue.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { type Explanation, explain } from '../policy/explain.ts'
import type { Snapshot } from '../policy/snapshot.ts'
import { type FlowOptions, hypotheticalArrival } from './hypothetical-arrival.ts'
import type { Desk, HypotheticalFlow } from './services.ts'

/** One address of the destination and what is decided for it. */
export interface Explained extends HypotheticalFlow {
  readonly explanation: Explanation
  /** by name */
  readonly virtualNetwork: string
}

export interface ExplainOptions extends FlowOptions {
  /** codes of data centers to take as down beside those that are */
  readonly coloDown: readonly string[]
}

/** At least one. Throws an InputError for what cannot be asked, a GatewayError for a connection that fails before a
 *  decision. */
export async function explainConnection(
  desk: Desk,
  destination: string,
  options: ExplainOptions,
): Promise<readonly [Explained, ...Explained[]]> {
  const snapshot = withColosDown(desk.snapshot, options.coloDown)
  const flows = await desk.flowsOf(hypotheticalArrival(desk.config, destination, options))
  const [first, ...others] = flows.map((one): Explained => {
    const { virtualNetworkId } = one.flow
    const network = snapshot.account.virtualNetworks.find(({ id }) => id === virtualNetworkId)
    return { ...one, explanation: explain(snapshot, one.flow), virtualNetwork: network?.name ?? virtualNetworkId }
  })
  if (first === undefined) throw new GatewayError('name.not_found', 'the destination has no address')
  return [first, ...others]
}

/** The documented JSON: the address tried first stands for the connection, further ones follow. */
export function explanationJson([first, ...others]: readonly [Explained, ...Explained[]]): unknown {
  const further = others.map(({ explanation }) => explanation)
  const tunnel = tunnelJson(first)
  return { ...first.explanation, ...tunnel, ...(further.length === 0 ? {} : { further_addresses: further }) }
}

/** The tunnel it is behind, and where bytes really go: null where that is not known here. */
function tunnelJson({ candidate: { tunnel, dial } }: Explained): object {
  if (tunnel === undefined) return {}
  return { tunnel: { ...tunnel, dial: tunnel.by === 'stand-in' ? formatEndpoint(dial) : null } }
}

function withColosDown(snapshot: Snapshot, codes: readonly string[]): Snapshot {
  if (codes.length === 0) return snapshot
  const { colos, colosDown } = snapshot.account
  const wanted = codes.map((code) => code.toUpperCase())
  const unknown = wanted.filter((code) => !colos.has(code))
  if (unknown.length > 0) throw new InputError(unknown.map((code) => unknownColo(code, [...colos.keys()])))
  return { ...snapshot, account: { ...snapshot.account, colosDown: new Set([...colosDown, ...wanted]) } }
}

function unknownColo(code: string, known: readonly string[]) {
  const hint = didYouMean(code, known) ?? '`egresslab colo list --all` prints them all'
  return {
    severity: 'error',
    code: 'explain.unknown_colo',
    message: `there is no data center \`${code}\``,
    hint,
  } as const
}
