// One attempt to connect to an origin through an upstream proxy (`exit`), on a machine that owns the egress address. It
// never falls back to an address of this machine.

import type { Socket } from 'node:net'
import type { ConfiguredExit } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { errnoOf } from '../errors/thrown.ts'
import type { DialAttempt } from '../proxy/stage-values.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { DialListener, PendingDial } from '../transport/engine.ts'
import { type AttemptNeeds, type AttemptWatcher, exhausted, type Try } from './attempt.ts'
import { type DialledPair, describeDestination } from './errno.ts'
import { enterHttp, enterSocks5 } from './upstream-proxy.ts'

const HANDSHAKES = { socks5: enterSocks5, http: enterHttp }

/** Connects to the upstream proxy, runs its handshake, and reports to the race. */
export class ExitAttempt implements Try, DialListener {
  readonly #needs: AttemptNeeds
  readonly #attempt: DialAttempt
  readonly #pair: Omit<DialledPair, 'bind'>
  readonly #exit: ConfiguredExit
  readonly #race: AttemptWatcher
  /** releases the connection's count; the connection does so itself once it is established */
  #release: (() => void) | undefined
  #dialling: PendingDial | undefined
  #socket: Socket | undefined

  constructor(
    needs: AttemptNeeds,
    { attempt, exit, pair }: { attempt: DialAttempt; exit: ConfiguredExit; pair: Omit<DialledPair, 'bind'> },
    race: AttemptWatcher,
  ) {
    this.#needs = needs
    this.#attempt = attempt
    this.#exit = exit
    this.#pair = pair
    this.#race = race
  }

  /** The upstream proxy chooses its own port, so the connection is only counted ([E7]). */
  connect(): boolean {
    const release = this.#needs.leases.admit(this.#pair, 'tcp')
    if (release === undefined) {
      this.#race.failed(this, exhausted(this.#pair), false)
      return false
    }
    this.#release = release
    const { at, device } = this.#exit
    const binding = device === undefined ? undefined : { device }
    const { engine, userTimeoutMs } = this.#needs
    this.#dialling = engine.dial({ to: at, binding, userTimeoutMs }, this)
    return true
  }

  cancel(): void {
    this.#dialling?.cancel()
    this.#release?.()
    this.#release = undefined
    this.#socket?.destroy()
    this.#socket = undefined
  }

  onConnect(stream: ByteStream): void {
    if (this.#release === undefined) {
      stream.destroy()
      return
    }
    stream.onceClosed(this.#release)
    this.#release = undefined
    const socket = stream.asSocket()
    this.#socket = socket
    socket.once('error', this.#failed)
    void this.#runHandshake(socket, stream)
  }

  onFailure(cause: Error): void {
    this.#release?.()
    this.#release = undefined
    this.#race.failed(this, failure(cause, this.#exit), true)
  }

  timedOut(seconds: number): GatewayError {
    const way = `${describeDestination(this.#pair)} through the exit ${this.#exit.text}`
    return new GatewayError('dial.timeout', `no connection to ${way} within ${seconds} s`)
  }

  async #runHandshake(socket: Socket, stream: ByteStream): Promise<void> {
    try {
      await HANDSHAKES[this.#exit.kind](socket, this.#exit, this.#pair.dial, describeDestination(this.#pair))
    } catch (thrown) {
      this.#failed(thrown)
      return
    }
    if (this.#socket !== socket) return
    socket.off('error', this.#failed)
    const local = stream.localEndpoint()
    if (local === undefined) return this.#failed(new Error('it closed the connection'))
    this.#race.succeeded(this, {
      channel: stream,
      attempt: this.#attempt,
      local,
      publicEndpoint: { ip: this.#pair.egress, port: local.port },
      exit: this.#exit.text,
    })
  }

  readonly #failed = (thrown: unknown): void => {
    const socket = this.#socket
    if (socket === undefined) return
    this.#socket = undefined
    socket.destroy()
    this.#race.failed(this, thrown instanceof GatewayError ? thrown : failure(thrown, this.#exit), true)
  }
}

function failure(cause: unknown, { text }: ConfiguredExit): GatewayError {
  const why = errnoOf(cause) || (cause instanceof Error ? cause.message : 'unknown reason')
  return new GatewayError('egress.exit_failed', `the exit ${text} cannot be used: ${why}`, { cause })
}
