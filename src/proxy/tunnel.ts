// A tunnel from arrival to record: opens the connection, lets the inbound protocol answer, relays until both sides are
// done. The same for CONNECT, SOCKS and upgraded HTTP; they differ only in how they say yes and no.

import type { Duplex } from 'node:stream'
import { asGatewayError, type GatewayError } from '../errors/gateway-error.ts'
import type { Arrival } from './arrival.ts'
import type { ConnectionPipeline, Identified } from './connection.ts'
import { Departure } from './departure.ts'
import { understandFirstBytes } from './first-bytes.ts'
import type { Upstream } from './ports.ts'
import { relay } from './relay.ts'
import type { Session } from './session.ts'

/** The client's side of a tunnel to be. Its stream must not be read by anybody else until {@link openTunnel} is done. */
export interface TunnelClient {
  readonly stream: Duplex
  /** how to show the client a reset where its stream is not a plain TCP socket */
  readonly reset?: () => void
  /** says yes; called once the origin's handshake has succeeded, never before ([E6]) */
  accept(upstream: Upstream): void
  /** says no, and closes or keeps the stream as the protocol has it */
  refuse(error: GatewayError): void
}

/** Opens, answers, relays, ends. Never throws or rejects: failures go to `client.refuse` and to the record. */
export async function openTunnel(
  pipeline: ConnectionPipeline,
  arrival: Arrival,
  client: TunnelClient,
  identified?: Identified,
): Promise<void> {
  const departure = new Departure()
  const leave = () => departure.abort()
  client.stream.on('close', leave)
  try {
    const session = await pipeline.open(arrival, {
      signal: departure,
      ...(identified === undefined ? {} : { identified }),
    })
    client.stream.off('close', leave)
    if (!client.stream.destroyed) client.accept(session.upstream)
    await carry(pipeline, session, client)
  } catch (thrown) {
    client.stream.off('close', leave)
    client.refuse(asGatewayError(thrown))
  }
}

/** Relays an established session between these two until it is over, and ends it. */
export async function carry(
  pipeline: ConnectionPipeline,
  session: Session,
  client: Pick<TunnelClient, 'stream' | 'reset'>,
): Promise<void> {
  const tunnel = relay(client.stream, session.upstream.socket, {
    idleMs: pipeline.settings.idleTimeoutMs,
    clock: pipeline.settings.clock,
    onFirstBytes: (bytes) => {
      session.progress.firstBytes = understandFirstBytes(bytes)
    },
    ...(client.reset === undefined ? {} : { resetClient: client.reset }),
  })
  session.cutBy((error) => tunnel.kill(error))
  session.end(await tunnel.closed)
}
