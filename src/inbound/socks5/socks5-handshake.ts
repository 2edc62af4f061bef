// SOCKS5 in, tunnel out: greeting, user name and password, request, each as one step that does not care how its bytes were
// cut (SK-01). The reply comes after the dial and names the true egress address ([E6], SK-06).

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { socks5Reply } from '../../errors/to-http.ts'
import type { Arrival, Knock } from '../../proxy/arrival.ts'
import type { ConnectionPipeline, Identified } from '../../proxy/pipeline.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { hangUp } from '../close-after-reply.ts'
import * as socks5 from './messages.ts'

/** Takes over a client that asked for UDP ASSOCIATE: it owns the control connection from then on and answers itself.
 *  `identified` is there when the client logged in. */
export type UdpHandler = (
  visitor: ClientConnection,
  knock: Knock,
  request: socks5.Request,
  identified: Identified | undefined,
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

type Step = 'greeting' | 'entering' | 'password' | 'identifying' | 'request'

export class Socks5Handshake implements Handshake {
  readonly #visitor: ClientConnection
  readonly #settings: Socks5Settings
  #step: Step = 'greeting'
  #knock: Knock
  #identified: Identified | undefined

  constructor(visitor: ClientConnection, settings: Socks5Settings) {
    this.#visitor = visitor
    this.#settings = settings
    this.#knock = visitor.knock('socks5')
  }

  get isWaiting(): boolean {
    return this.#step === 'entering' || this.#step === 'identifying'
  }

  take(bytes: Buffer): number {
    switch (this.#step) {
      case 'greeting':
        return this.#takeGreeting(bytes)
      case 'password':
        return this.#takePassword(bytes)
      case 'entering':
      case 'identifying':
        return 0
      case 'request':
        return this.#takeRequest(bytes)
    }
  }

  refuse(error: GatewayError): void {
    this.#settings.pipeline.refuse(this.#knock, error)
    this.#sayNo(error)
  }

  #takeGreeting(bytes: Buffer): number {
    const greeting = socks5.readGreeting(bytes)
    if (greeting === undefined) return 0
    if (greeting.value.includes(socks5.USER_PASSWORD)) this.#proceed(socks5.USER_PASSWORD, 'password')
    else if (greeting.value.includes(socks5.NO_AUTHENTICATION)) this.#enterOpenly()
    else throw new GatewayError('identity.required', 'the SOCKS client offers no way to log in that the proxy knows')
    return greeting.length
  }

  /** Without a password, where the door or the client's address says who it is. Found out before the method is chosen, since
   *  afterwards the protocol has no word for it. */
  #enterOpenly(): void {
    this.#step = 'entering'
    this.#identify((identified) => {
      this.#identified = identified
      this.#proceed(socks5.NO_AUTHENTICATION, 'request')
    })
  }

  #proceed(method: keyof typeof METHOD_CHOSEN, step: Step): void {
    this.#visitor.stream.write(METHOD_CHOSEN[method])
    this.#step = step
  }

  #takePassword(bytes: Buffer): number {
    const message = socks5.readUserPassword(bytes)
    if (message === undefined) return 0
    this.#knock = { ...this.#knock, credentials: message.value }
    this.#step = 'identifying'
    this.#identify((identified) => {
      this.#identified = identified
      this.#visitor.stream.write(LOGGED_IN)
      this.#step = 'request'
    })
    return message.length
  }

  /** At once where identification answers at once; else the handshake waits, and goes on with what has arrived by then. */
  #identify(welcome: (identified: Identified) => void): void {
    const identified = this.#settings.pipeline.identify(this.#knock)
    if (!(identified instanceof Promise)) {
      welcome(identified)
      return
    }
    identified.then(
      (found) => {
        if (this.#visitor.stream.isClosed) return
        welcome(found)
        this.#visitor.offer()
      },
      (thrown) => this.#visitor.fail(asGatewayError(thrown)),
    )
  }

  #takeRequest(bytes: Buffer): number {
    const request = socks5.readRequest(bytes)
    if (request === undefined) return 0
    const { command, target } = request.value
    const { udp } = this.#settings
    if (command === 'connect' && target !== undefined) {
      this.#visitor.release(request.length)
      this.#open({ ...this.#knock, target })
    } else if (command === 'udp-associate' && udp !== undefined) {
      this.#visitor.release(request.length)
      udp(this.#visitor, this.#knock, request.value, this.#identified)
    } else {
      throw new GatewayError('request.unsupported_command', `the SOCKS command \`${command}\` is not supported`)
    }
    return 0
  }

  #open(arrival: Arrival): void {
    const { stream } = this.#visitor
    const client: TunnelClient = {
      stream,
      accept: ({ announced }) => void stream.write(socks5.formatReply(0x00, announced)),
      refuse: (error) => this.#sayNo(error),
    }
    void openTunnel(this.#settings.pipeline, arrival, client, this.#identified)
  }

  /** In the words that the protocol has for it at this point. */
  #sayNo(error: GatewayError): void {
    const { stream, origin } = this.#visitor
    hangUp(stream, origin.clock, refusal(this.#step, error))
  }
}

function refusal(step: Step, error: GatewayError): Buffer {
  switch (step) {
    case 'greeting':
    case 'entering':
      return Buffer.of(0x05, socks5.NO_ACCEPTABLE_METHOD)
    case 'password':
    case 'identifying':
      return Buffer.of(0x01, 0x01)
    case 'request':
      return socks5.formatReply(socks5Reply(error))
  }
}
