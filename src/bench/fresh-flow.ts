// A proxy has just put together the facts of a connection when it decides: they are new objects with a text just read from the wire, and in
// the processor's cache. Prepared connections are neither, so each is made anew right before it is decided, outside what is timed.

import type { Flow } from '../policy/flow.ts'

/** A new flow with the same facts. People, places and virtual networks stay the same objects, as they do in a proxy. */
export function freshFlow(flow: Flow): Flow {
  const { host, destination } = flow
  const endpoint = { ip: { ...destination.ip, words: [...destination.ip.words] }, port: destination.port }
  // a text of its own, without the hash the other one may have
  const name = host === undefined ? {} : { host: Buffer.from(host, 'latin1').toString('latin1') }
  return { ...flow, ...name, destination: endpoint }
}

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
