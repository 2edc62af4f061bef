// A tunnel from arrival to record: opens the connection, lets the inbound protocol answer, relays until both sides are
// done. The same for CONNECT, SOCKS and upgraded HTTP; they differ only in how they say yes and no.

import { asGatewayError, type GatewayError } from '../errors/gateway-error.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import { CancellationSource } from '../transport/cancellation.ts'
import type { Arrival } from './arrival.ts'
import type { ConnectionPipeline, Identified } from './pipeline.ts'
import { understandFirstBytes } from './protocol-detection.ts'
import { relay } from './relay.ts'
import type { Session } from './session.ts'
import type { Upstream } from './stage-values.ts'

/** The client's side of a tunnel to be. Nobody else may handle its stream until {@link openTunnel} is done. */
export interface TunnelClient {
  readonly stream: ByteStream
  /** says yes; called once the origin's handshake has succeeded, never before ([E6]) */
  accept(upstream: Upstream): void
  /** says no, and closes or keeps the connection as the protocol has it */
  refuse(error: GatewayError): void
}

/** Opens, answers, relays, ends. Never throws or rejects: failures go to `client.refuse` and to the record. */
export async function openTunnel(
  pipeline: ConnectionPipeline,
  arrival: Arrival,
  client: TunnelClient,
  identified?: Identified,
): Promise<void> {
  const departure = new CancellationSource()
  client.stream.onceClosed(departure.abort)
  try {
    const session = await pipeline.open(arrival, {
      signal: departure,
      ...(identified === undefined ? {} : { identified }),
    })
    client.stream.offClose(departure.abort)
    if (!client.stream.isClosed) client.accept(session.upstream)
    await carry(pipeline, session, client.stream)
  } catch (thrown) {
    client.stream.offClose(departure.abort)
    client.refuse(asGatewayError(thrown))
  }
}

/** Relays an established session between the client and its upstream until it is over, and ends it. */
export async function carry(pipeline: ConnectionPipeline, session: Session, client: ByteStream): Promise<void> {
  const tunnel = relay(client, session.upstream.carrier, {
    idleMs: pipeline.settings.idleTimeoutMs,
    clock: pipeline.settings.clock,
    onFirstBytes: (bytes) => {
      session.progress.firstBytes = understandFirstBytes(bytes)
    },
    passOn: pipeline.settings.passOn,
  })
  session.cutBy((error) => tunnel.kill(error))
  session.end(await tunnel.closed)
}
