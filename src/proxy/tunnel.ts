// A tunnel from arrival to record: opens the connection, lets the inbound protocol reply, relays until both sides are
// done. The same for CONNECT, SOCKS and upgraded HTTP; they differ only in their replies.

import { asGatewayError, type GatewayError } from '../errors/gateway-error.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import { CancellationSource } from '../transport/cancellation.ts'
import type { Arrival } from './arrival.ts'
import type { ConnectionPipeline } from './pipeline.ts'
import { relay } from './relay.ts'
import { type FirstBytes, type Session, understandFirstBytes } from './session.ts'
import type { Identification } from './stage-values.ts'

/** The client's side of a tunnel. Nobody else may handle its stream until {@link openTunnel} is done. */
export interface TunnelClient {
  readonly stream: ByteStream
  /** Sends the success reply; called once the upstream connection is established, never before ([E6]). */
  accept(session: Session): void
  /** Sends the error reply, and closes or keeps the connection as the protocol requires. */
  refuse(error: GatewayError): void
}

/** Opens the connection, replies, relays until it ends. Never rejects: failures go to `client.refuse` and to the
 *  record. */
export async function openTunnel(
  pipeline: ConnectionPipeline,
  arrival: Arrival,
  client: TunnelClient,
  identified?: Identification,
): Promise<void> {
  const cancellation = new CancellationSource()
  client.stream.onceClosed(cancellation.abort)
  try {
    const session = await pipeline.open(arrival, {
      signal: cancellation,
      ...(identified === undefined ? {} : { identified }),
    })
    client.stream.offClose(cancellation.abort)
    if (!client.stream.isClosed) client.accept(session)
    await carry(pipeline, session, client.stream)
  } catch (thrown) {
    client.stream.offClose(cancellation.abort)
    client.refuse(asGatewayError(thrown))
  }
}

/** Relays an established session between the client and its upstream until it is over, and ends the session. Never
 *  rejects. */
export async function carry(pipeline: ConnectionPipeline, session: Session, client: ByteStream): Promise<void> {
  let firstBytes: FirstBytes | undefined
  const tunnel = relay(client, session.upstream.channel, {
    idleMs: pipeline.settings.idleTimeoutMs,
    clock: pipeline.settings.clock,
    onFirstBytes: (bytes) => {
      firstBytes = understandFirstBytes(bytes)
    },
    passOn: pipeline.settings.passOn,
  })
  session.onKill((error) => tunnel.kill(error))
  const end = await tunnel.closed
  session.end(firstBytes === undefined ? end : { ...end, firstBytes })
}
