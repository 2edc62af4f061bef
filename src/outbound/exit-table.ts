// Which proxy elsewhere a connection goes by way of: the one on the other side of its tunnel, or the one that realises its egress
// address.

import type { ConfiguredExit, ConfiguredTunnel } from '../config/lab-config.ts'
import type { Egress } from '../policy/decision.ts'
import type { Tunnel } from '../proxy/ports.ts'

/** `tunnel`: the one the destination is behind. undefined: it is dialled from here. */
export type ExitOf = (egress: Egress, tunnel?: Tunnel) => ConfiguredExit | undefined

/** Looks exits up by tunnel, else by the dedicated address or range an egress belongs to, or by its being shared. What is behind
 *  a tunnel never goes by way of an egress address's exit. */
export function createExitTable(
  exits: readonly ConfiguredExit[],
  tunnels: readonly Pick<ConfiguredTunnel, 'id' | 'upstream'>[] = [],
): ExitOf {
  const byAddress = new Map(exits.flatMap((exit) => exit.realises.map((text) => [text, exit] as const)))
  const byTunnel = new Map(tunnels.map(({ id, upstream }) => [id, upstream] as const))
  return ({ dedicated, family }, tunnel) => {
    if (tunnel !== undefined) return tunnel.by === 'upstream' ? byTunnel.get(tunnel.id) : undefined
    if (byAddress.size === 0) return undefined
    if (dedicated === undefined) return byAddress.get('shared')
    return byAddress.get((family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text) ?? '')
  }
}
