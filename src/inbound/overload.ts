// What clients are told that come when as many as can be served are there already: no, in their own protocol, and when to try again
// (RS-03). A reset would tell them nothing, and many of them at once look like an outage.

import { GatewayError } from '../errors/gateway-error.ts'
import { httpErrorText, socks4Reply } from '../errors/to-http.ts'
import type { InboundProtocol } from '../proxy/arrival.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'
import type { ByteStream, StreamHandler } from '../transport/byte-stream.ts'
import type { ClientConnection } from './client-connection.ts'
import { openingMethod } from './close-after-reply.ts'
import type { Greeters } from './listener.ts'
import { formatSocks4Reply } from './socks4/socks4-handshake.ts'

/** fatal alert, handshake_failure */
const TLS_REFUSAL = Buffer.of(0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28)
/** RFC 1928 section 3: no acceptable method */
const SOCKS5_REFUSAL = Buffer.of(0x05, 0xff)

/** Greets clients that cannot be served now; each refusal is recorded and counted. */
export function turningAway(pipeline: ConnectionPipeline): Greeters {
  const sayNo = (
    protocol: InboundProtocol,
    words: (error: GatewayError, stream: ByteStream) => string | Uint8Array,
  ) => {
    return (visitor: ClientConnection) => {
      const error = tooMany()
      visitor.release()
      pipeline.refuse(visitor.knock(protocol), error)
      const { stream } = visitor
      partQuickly(stream, words(error, stream))
    }
  }
  const inHttp = (error: GatewayError, stream: ByteStream) =>
    httpErrorText(error, 'close', { method: openingMethod(stream) })
  return {
    socks4: sayNo('socks4', (error) => formatSocks4Reply(socks4Reply(error))),
    socks5: sayNo('socks5', () => SOCKS5_REFUSAL),
    connect: sayNo('http-connect', inHttp),
    http: sayNo('http-forward', inHttp),
    tls: sayNo('http-connect', () => TLS_REFUSAL),
    unclear: (visitor) => sayNo('http-connect', inHttp)(visitor),
  }
}

/** What has arrived is read, and the words ask for no more: no lingering, the descriptor is needed. */
function partQuickly(stream: ByteStream, words: string | Uint8Array): void {
  while (stream.read() !== undefined);
  const isTaken = stream.write(typeof words === 'string' ? Buffer.from(words) : words)
  stream.end()
  if (isTaken) stream.destroy()
  else stream.setHandler(new Parting(stream))
}

/** Closes as soon as the words are with the system. */
class Parting implements StreamHandler {
  readonly #stream: ByteStream

  constructor(stream: ByteStream) {
    this.#stream = stream
  }

  onReadable(): void {
    while (this.#stream.read() !== undefined);
  }

  onWritable(): void {
    this.#stream.destroy()
  }

  onClose(): void {}
}

/** Holds up accepting, and with it everything else in this thread, for a moment: until those who came have said what they want, they
 *  cannot be told anything, and until they are told, they keep a descriptor. The rest waits in the system's queue meanwhile. At
 *  most a tenth of the time goes into this. */
export class AcceptBrake {
  readonly #cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  #heldMs = 0
  #since = performance.now()

  /** `crowd`: how much of the room for those being told is taken, 0…1. */
  hold(crowd: number): void {
    const now = performance.now()
    if (now - this.#since >= BRAKE_PERIOD_MS) {
      this.#since = now
      this.#heldMs = 0
    }
    if (this.#heldMs >= BRAKE_PERIOD_MS / 10) return
    const ms = crowd < CROWDED ? BRAKE_MS : LONG_BRAKE_MS
    Atomics.wait(this.#cell, 0, 0, ms)
    this.#heldMs += ms
  }
}

const CROWDED = 0.5
const BRAKE_MS = 1
const LONG_BRAKE_MS = 8
const BRAKE_PERIOD_MS = 5_000

/** Nobody is even left to listen to what they want: recorded and counted, and cut. */
export function cutOff(pipeline: ConnectionPipeline, visitor: ClientConnection): void {
  pipeline.refuse(visitor.knock('http-connect'), tooMany())
  visitor.stream.reset()
}

function tooMany(): GatewayError {
  return new GatewayError(
    'guard.too_many_connections',
    'the proxy serves as many clients as it can at one time; try again in a moment',
  )
}
