// A proxy has just put together the facts of a connection when it decides, so they are in the processor's cache. Those of a prepared
// connection are not: touching them first keeps the measurement from timing a wait that no real decision has.

import type { Flow } from '../policy/flow.ts'

/** Reads every fact that belongs to one connection alone. People, rules and lists stay untouched, in the cache or not as the traffic
 *  has it. Answers a number only so that nothing can be optimised away. */
export function touchFlow(flow: Flow): number {
  const { source, destination, host = '', virtualNetworkId, destinationPlace, transport } = flow
  return (
    source.port +
    destination.port +
    (source.ip.words[0] ?? 0) +
    (destination.ip.words[0] ?? 0) +
    host.charCodeAt(host.length - 1) +
    virtualNetworkId.charCodeAt(0) +
    (destinationPlace?.latitude ?? 0) +
    transport.length
  )
}
