// CONNECT as one stream of an HTTP/2 connection (RFC 9113 section 8.5): a tunnel like any other, END_STREAM for FIN, RST_STREAM with
// CONNECT_ERROR for a reset. What is wrong with one stream is said on that stream alone (TL-04).

import { constants, type ServerHttp2Stream } from 'node:http2'
import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import type { ClientInfo } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import { NodeStream } from '../../transport/node/node-stream.ts'
import { understandConnect } from '../http-connect/connect-head.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { refuseStream, responseHeaders } from './stream-answer.ts'

/** Opens the tunnel a stream asks for. `fields`: names and values without pseudo-header fields. Answers how to give the stream up as
 *  malformed. */
export function openConnectStream(
  pipeline: ConnectionPipeline,
  clientInfo: ClientInfo,
  stream: ServerHttp2Stream,
  { authority, fields }: { readonly authority: string; readonly fields: readonly string[] },
): (error: GatewayError) => void {
  let isOurs = false
  // Node lets a stream that the client took back end like one that is complete, but says this first
  stream.once('aborted', () => {
    if (!isOurs) stream.destroy(new Error('the client reset the stream'))
  })
  const client: TunnelClient = {
    stream: new NodeStream(stream, {
      reset: () => {
        isOurs = true
        stream.close(constants.NGHTTP2_CONNECT_ERROR)
      },
    }),
    // with trailers to wait for, Node sends no END_STREAM ahead of RST_STREAM, which a client would take for a clean end
    accept: ({ annotation }) => stream.respond(responseHeaders(200, annotation), { waitForTrailers: true }),
    refuse: (error) => {
      isOurs = true
      refuseStream(stream, error, { clock: pipeline.settings.clock, method: 'CONNECT' })
    },
  }
  try {
    const { target, authorization } = understandConnect(authority, fields)
    const credentials = authorization === undefined ? undefined : parseProxyCredentials(authorization)
    const arrival = { ...clientInfo, target, ...(credentials === undefined ? {} : { credentials }) }
    void openTunnel(pipeline, arrival, client)
  } catch (thrown) {
    const error = asGatewayError(thrown)
    pipeline.refuse(clientInfo, error)
    client.refuse(error)
  }
  return (error) => {
    isOurs = true
    stream.close(constants.NGHTTP2_PROTOCOL_ERROR)
    stream.destroy(error)
  }
}
