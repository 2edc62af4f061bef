// How an egress leaves this machine where the configuration says more than its address: through which upstream proxy, and
// with which options of the socket.

import type { ConfiguredBinding, ConfiguredExit, ConfiguredTunnel } from '../config/lab-config.ts'
import type { Egress } from '../policy/decision.ts'
import type { Tunnel } from '../proxy/stage-values.ts'
import type { SocketBinding } from '../transport/engine.ts'

/** The upstream proxy for an egress, or for the tunnel the destination is behind; undefined: it is dialled from this
 *  machine. */
export type ExitOf = (egress: Egress, tunnel?: Tunnel) => ConfiguredExit | undefined

/** Looks upstream proxies up by tunnel, else by dedicated address or range, or by `shared`. Destinations behind a
 *  tunnel never use the upstream proxy of an egress address. */
export function createExitTable(
  exits: readonly ConfiguredExit[],
  tunnels: readonly Pick<ConfiguredTunnel, 'id' | 'upstream'>[] = [],
): ExitOf {
  const byAddress = new Map(exits.flatMap((exit) => exit.realises.map((text) => [text, exit] as const)))
  const byTunnel = new Map(tunnels.map(({ id, upstream }) => [id, upstream] as const))
  return (egress, tunnel) => {
    if (tunnel !== undefined) return tunnel.by === 'upstream' ? byTunnel.get(tunnel.id) : undefined
    return byAddress.size === 0 ? undefined : byAddress.get(keyOf(egress))
  }
}

/** How an egress is bound, beyond its address; undefined: nothing more. */
export type BindingOf = (egress: Egress) => SocketBinding | undefined

/** Looks it up by dedicated address or range, or by `shared`. */
export function createBindingTable(bindings: readonly ConfiguredBinding[] = []): BindingOf {
  const byAddress = new Map(bindings.flatMap(({ of, binding }) => of.map((text) => [text, binding] as const)))
  return (egress) => (byAddress.size === 0 ? undefined : byAddress.get(keyOf(egress)))
}

function keyOf({ dedicated, family }: Egress): string {
  if (dedicated === undefined) return 'shared'
  return (family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text) ?? ''
}
