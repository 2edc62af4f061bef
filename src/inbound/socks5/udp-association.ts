// UDP ASSOCIATE, the client's side: a relay socket that only this client may use (UD-01), the datagram header, and a life tied
// to the control connection (UD-02). Where datagrams go is decided in proxy/udp-association-flows.ts.

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint, type Target } from '../../net/endpoint.ts'
import { equalIp, type Ip } from '../../net/ip.ts'
import type { ClientInfo } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import type { SessionEnd } from '../../proxy/session.ts'
import type { ClientContext, OpenUdpUpstreams } from '../../proxy/stage-values.ts'
import { UdpFlows, type UdpLimits } from '../../proxy/udp-association-flows.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../transport/byte-stream.ts'
import type { DatagramHandler, DatagramSocket } from '../../transport/datagrams.ts'
import type { Engine } from '../../transport/engine.ts'
import type { Timer } from '../../transport/timer-wheel.ts'
import { closeAfterReply } from '../close-after-reply.ts'
import type { UdpHandler } from './socks5-handshake.ts'
import { formatReply, formatUdpHeader, readUdpHeader, readUdpTarget } from './socks5-messages.ts'

export interface UdpHandlerSettings {
  readonly pipeline: ConnectionPipeline
  readonly openOutlets: OpenUdpUpstreams
  readonly limits: UdpLimits
  readonly engine: Pick<Engine, 'bindDatagrams'>
}

/** Takes clients that asked for UDP ASSOCIATE over from the handshake. */
export function createUdpHandler(settings: UdpHandlerSettings): UdpHandler {
  const relays = new Set<string>()
  return async (connection, tcpClient, { target }, identified) => {
    const { stream: control, origin } = connection
    const client: ClientInfo = { ...tcpClient, protocol: 'socks5-udp', transport: 'udp' }
    let relay: DatagramSocket | undefined
    try {
      const { context } = identified ?? (await settings.pipeline.identify(client))
      const local = localAddress(control)
      relay = await bindRelay(settings.engine, local)
      const { address } = relay
      if (control.isClosed) return void relay.close()
      const claimed = claimedPort(target)
      const association = new Association({ ...settings, control, relay, address, relays, client, context, claimed })
      control.write(formatReply(0x00, address))
      control.setHandler(association)
    } catch (thrown) {
      relay?.close()
      const error = asGatewayError(thrown)
      settings.pipeline.refuse(client, error)
      closeAfterReply(control, origin.clock, formatReply(error.rendering.socks))
    }
  }
}

/** The address the client reached us at: the relay is bound there, never to a wildcard, and the client can reach it (UD-08). */
function localAddress(stream: ByteStream): Ip {
  const local = stream.localEndpoint()
  if (local === undefined) throw new GatewayError('relay.client_reset', 'the client left before its UDP relay was open')
  return local.ip
}

async function bindRelay(engine: UdpHandlerSettings['engine'], ip: Ip): Promise<DatagramSocket> {
  try {
    return await engine.bindDatagrams({ ip, port: 0 })
  } catch (cause) {
    throw new GatewayError('guard.too_many_connections', 'no UDP port can be opened for this client', { cause })
  }
}

/** The port a client says it will send from; most do not know it yet and say 0. */
function claimedPort(target: Target | undefined): number | undefined {
  return target?.port
}

interface AssociationParts extends UdpHandlerSettings {
  readonly control: ByteStream
  readonly relay: DatagramSocket
  readonly address: Endpoint
  /** every relay of this proxy: no datagram may be sent to one */
  readonly relays: Set<string>
  readonly client: ClientInfo
  readonly context: ClientContext
  readonly claimed: number | undefined
}

class Association implements StreamHandler, DatagramHandler {
  readonly #parts: AssociationParts
  readonly #flows: UdpFlows
  readonly #client: Ip
  /** where datagrams come from and answers go: the announced port, or that of the first good datagram */
  #answerTo: Endpoint | undefined
  readonly #outward: RateLimit
  readonly #inward: RateLimit
  readonly #headers = new WeakMap<Endpoint, Buffer>()
  #lastActive: number
  #idle: Timer
  #closed = false

  constructor(parts: AssociationParts) {
    const { pipeline, relay, limits, client, relays, address } = parts
    const { clock } = pipeline.settings
    this.#parts = parts
    this.#client = client.peer.ip
    if (parts.claimed !== undefined) this.#lockTo(parts.claimed)
    this.#outward = new RateLimit(limits, clock.now)
    this.#inward = new RateLimit(limits, clock.now)
    this.#lastActive = clock.now
    this.#idle = clock.after(pipeline.settings.idleTimeoutMs, this.#checkIdle)
    this.#flows = new UdpFlows({
      ...parts,
      isOwnRelay: (dial) => relays.has(formatEndpoint(dial)),
      deliver: (from, payload) => this.#deliver(from, payload),
    })
    relays.add(formatEndpoint(address))
    pipeline.datagrams.associations++
    relay.setHandler(this)
  }

  /** The client has said something, or has ended its control connection, and with it the association (UD-02). */
  onReadable(): void {
    const { control } = this.#parts
    if (control.read() !== undefined) {
      this.#fail('request.malformed', 'the client went on talking after UDP ASSOCIATE')
    } else if (control.hasEnded) this.#close({ reason: 'CLIENT_CLOSED' })
  }

  onWritable(): void {}

  onClose({ by, how, cause }: StreamEnd): void {
    if (by === 'us' || how === 'fin') this.#close({ reason: 'CLIENT_CLOSED' })
    else this.#fail('relay.client_reset', 'the client reset the control connection', cause)
  }

  onDatagram(datagram: Buffer, from: Endpoint): void {
    const { datagrams, settings } = this.#parts.pipeline
    const fate = this.#fateOf(datagram, from)
    if (fate !== 'sent') datagrams.dropped(fate)
    else {
      this.#lockTo(from.port)
      this.#lastActive = settings.clock.now
    }
  }

  /** What a client does not take is lost to it, as UDP has it. */
  onFailure({ code }: NodeJS.ErrnoException): void {
    const { datagrams } = this.#parts.pipeline
    if (code === 'EMSGSIZE') datagrams.dropped('too_large')
    else datagrams.dropped(code === 'ENOBUFS' || code === 'EAGAIN' ? 'congested' : 'unreachable')
  }

  #lockTo(port: number): void {
    this.#answerTo ??= { ip: this.#client, port }
  }

  #fateOf(datagram: Buffer, { ip, port }: Endpoint): 'sent' | 'stranger' | 'malformed' | 'fragment' | 'too_fast' {
    if (!equalIp(ip, this.#client) || (this.#answerTo !== undefined && port !== this.#answerTo.port)) return 'stranger'
    const header = readUdpHeader(datagram)
    if (header.kind !== 'whole') return header.kind
    const { key, length } = header
    if (!this.#outward.admits(datagram.length, this.#parts.pipeline.settings.clock.now)) return 'too_fast'
    const sent = this.#flows.send(key, () => readUdpTarget(datagram, length), datagram.subarray(length))
    return sent ? 'sent' : 'malformed'
  }

  #deliver(from: Endpoint, payload: Buffer): void {
    const { pipeline, relay } = this.#parts
    const { datagrams } = pipeline
    const { now } = pipeline.settings.clock
    if (this.#closed || this.#answerTo === undefined) return
    if (!this.#inward.admits(payload.length, now)) datagrams.dropped('too_fast')
    else {
      this.#lastActive = now
      datagrams.received++
      relay.send(this.#answerTo, payload, this.#headerOf(from))
    }
  }

  #headerOf(from: Endpoint): Buffer {
    const known = this.#headers.get(from)
    if (known !== undefined) return known
    const header = formatUdpHeader(from)
    this.#headers.set(from, header)
    return header
  }

  readonly #checkIdle = (): void => {
    const { clock, idleTimeoutMs } = this.#parts.pipeline.settings
    const silentMs = clock.now - this.#lastActive
    if (silentMs < idleTimeoutMs) this.#idle = clock.after(idleTimeoutMs - silentMs, this.#checkIdle)
    else this.#fail('relay.idle', `no datagram in either direction for ${idleTimeoutMs / 1000} s`)
  }

  /** The client sees a reset. */
  #fail(code: 'relay.client_reset' | 'relay.idle' | 'request.malformed', message: string, cause?: Error): void {
    const error = new GatewayError(code, message, { cause })
    this.#close({ reason: error.rendering.close, error })
    this.#parts.control.reset()
  }

  #close(how: Omit<SessionEnd, 'bytesReceived' | 'bytesSent'>): void {
    if (this.#closed) return
    this.#closed = true
    const { control, relay, relays, address, pipeline } = this.#parts
    this.#idle.cancel()
    this.#flows.close(how)
    relays.delete(formatEndpoint(address))
    relay.close()
    pipeline.datagrams.associations--
    control.end()
  }
}

/** Two buckets, for packets and for bytes; a packet has to fit both. */
class RateLimit {
  readonly #packetsPerSecond: number
  readonly #bytesPerSecond: number
  #packets: number
  #bytes: number
  #filledAt: number

  /** `now`: monotonic ms */
  constructor(limits: { readonly packetsPerSecond: number; readonly bytesPerSecond: number }, now: number) {
    this.#packetsPerSecond = limits.packetsPerSecond
    this.#bytesPerSecond = limits.bytesPerSecond
    this.#packets = limits.packetsPerSecond
    this.#bytes = limits.bytesPerSecond
    this.#filledAt = now
  }

  /** Takes the tokens for a packet of this many bytes; false when there are too few. `now`: monotonic ms, may repeat
   *  between calls. */
  admits(bytes: number, now: number): boolean {
    if (now > this.#filledAt) {
      const seconds = (now - this.#filledAt) / 1000
      this.#packets = Math.min(this.#packetsPerSecond, this.#packets + seconds * this.#packetsPerSecond)
      this.#bytes = Math.min(this.#bytesPerSecond, this.#bytes + seconds * this.#bytesPerSecond)
      this.#filledAt = now
    }
    if (this.#packets < 1 || this.#bytes < bytes) return false
    this.#packets--
    this.#bytes -= bytes
    return true
  }
}
