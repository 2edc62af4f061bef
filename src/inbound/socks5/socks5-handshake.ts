// The SOCKS5 handshake: greeting, user name and password, request, each a step that accepts its bytes however they are
// split (SK-01). The reply comes after the dial and carries the real egress address ([E6], SK-06).

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival, ClientInfo } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import type { Identification } from '../../proxy/stage-values.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { closeAfterReply } from '../close-after-reply.ts'
import * as socks5 from './socks5-messages.ts'

/** Takes over a client that asked for UDP ASSOCIATE: owns its control connection from then on and answers itself.
 *  `identified` is set once the client is identified. */
export type UdpHandler = (
  client: ClientConnection,
  clientInfo: ClientInfo,
  request: socks5.Request,
  identified: Identification | undefined,
) => void

export interface Socks5Settings {
  readonly pipeline: ConnectionPipeline
  /** absent: UDP ASSOCIATE is answered "command not supported" */
  readonly udp?: UdpHandler
}

const METHOD_CHOSEN = {
  [socks5.NO_AUTHENTICATION]: Buffer.of(0x05, socks5.NO_AUTHENTICATION),
  [socks5.USER_PASSWORD]: Buffer.of(0x05, socks5.USER_PASSWORD),
} as const
const LOGGED_IN = Buffer.of(0x01, 0x00)

type Step = 'greeting' | 'identifying-by-address' | 'password' | 'identifying' | 'request'

/** The handshake of one client (RFC 1928, RFC 1929), up to the tunnel or the UDP association. */
export class Socks5Handshake implements Handshake {
  readonly #client: ClientConnection
  readonly #settings: Socks5Settings
  #step: Step = 'greeting'
  #clientInfo: ClientInfo
  #identified: Identification | undefined

  constructor(client: ClientConnection, settings: Socks5Settings) {
    this.#client = client
    this.#settings = settings
    this.#clientInfo = client.clientInfo('socks5')
  }

  get isWaiting(): boolean {
    return this.#step === 'identifying-by-address' || this.#step === 'identifying'
  }

  take(bytes: Buffer): number {
    switch (this.#step) {
      case 'greeting':
        return this.#takeGreeting(bytes)
      case 'password':
        return this.#takePassword(bytes)
      case 'identifying-by-address':
      case 'identifying':
        return 0
      case 'request':
        return this.#takeRequest(bytes)
    }
  }

  refuse(error: GatewayError): void {
    this.#settings.pipeline.refuse(this.#clientInfo, error)
    this.#sendRefusal(error)
  }

  #takeGreeting(bytes: Buffer): number {
    const greeting = socks5.readGreeting(bytes)
    if (greeting === undefined) return 0
    if (greeting.value.includes(socks5.USER_PASSWORD)) this.#choose(socks5.USER_PASSWORD, 'password')
    else if (greeting.value.includes(socks5.NO_AUTHENTICATION)) this.#identifyByAddress()
    else
      throw new GatewayError(
        'identity.required',
        'the SOCKS client offers no authentication method that the proxy supports',
      )
    return greeting.length
  }

  /** Without a password the listener or the client's address identifies it. This happens before the method is chosen,
   *  because the protocol has no message for a failure after that. */
  #identifyByAddress(): void {
    this.#step = 'identifying-by-address'
    void this.#identify(() => this.#choose(socks5.NO_AUTHENTICATION, 'request'))
  }

  #choose(method: keyof typeof METHOD_CHOSEN, step: Step): void {
    this.#client.stream.write(METHOD_CHOSEN[method])
    this.#step = step
  }

  #takePassword(bytes: Buffer): number {
    const message = socks5.readUserPassword(bytes)
    if (message === undefined) return 0
    this.#clientInfo = { ...this.#clientInfo, credentials: message.value }
    this.#step = 'identifying'
    void this.#identify(() => {
      this.#client.stream.write(LOGGED_IN)
      this.#step = 'request'
    })
    return message.length
  }

  /** The handshake waits meanwhile, then goes on with the bytes that have arrived. */
  async #identify(proceed: () => void): Promise<void> {
    try {
      this.#identified = await this.#settings.pipeline.identify(this.#clientInfo)
    } catch (thrown) {
      this.#client.fail(asGatewayError(thrown))
      return
    }
    if (this.#client.stream.isClosed) return
    proceed()
    this.#client.continueHandshake()
  }

  #takeRequest(bytes: Buffer): number {
    const request = socks5.readRequest(bytes)
    if (request === undefined) return 0
    const { command, target } = request.value
    const { udp } = this.#settings
    if (command === 'connect' && target !== undefined) {
      this.#client.release(request.length)
      this.#open({ ...this.#clientInfo, target })
    } else if (command === 'udp-associate' && udp !== undefined) {
      this.#client.release(request.length)
      udp(this.#client, this.#clientInfo, request.value, this.#identified)
    } else {
      throw new GatewayError('request.unsupported_command', `the SOCKS command \`${command}\` is not supported`)
    }
    return 0
  }

  #open(arrival: Arrival): void {
    const { stream } = this.#client
    const tunnelClient: TunnelClient = {
      stream,
      accept: ({ upstream }) => void stream.write(socks5.formatReply(0x00, upstream.publicEndpoint)),
      refuse: (error) => this.#sendRefusal(error),
    }
    void openTunnel(this.#settings.pipeline, arrival, tunnelClient, this.#identified)
  }

  #sendRefusal(error: GatewayError): void {
    const { stream, origin } = this.#client
    closeAfterReply(stream, origin.clock, refusal(this.#step, error))
  }
}

/** The message that says no at this step of the protocol. */
function refusal(step: Step, error: GatewayError): Buffer {
  switch (step) {
    case 'greeting':
    case 'identifying-by-address':
      return Buffer.of(0x05, socks5.NO_ACCEPTABLE_METHOD)
    case 'password':
    case 'identifying':
      return Buffer.of(0x01, 0x01)
    case 'request':
      return socks5.formatReply(error.rendering.socks)
  }
}
