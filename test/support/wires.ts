// Wires for tests: accepted and dialled on loopback, and waits for what happens on them.

import { type AddressInfo, createServer } from 'node:net'
import { onTestFinished } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import type { Transport } from '../../src/proxy/wire/transport.ts'
import type { Wire, WireListener } from '../../src/proxy/wire/wire.ts'
import { next } from './tcp.ts'

/** Listens on a free port for one connection; the wire is destroyed when the test ends. */
export async function acceptWire(by: Transport): Promise<{ readonly port: number; readonly wire: Promise<Wire> }> {
  const accepted = Promise.withResolvers<Wire>()
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  by.serve(server, (wire) => {
    onTestFinished(() => wire.destroy())
    accepted.resolve(wire)
  })
  server.listen(0, '127.0.0.1')
  await next(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, wire: accepted.promise }
}

/** Connects to a port of 127.0.0.1. Rejects with the system's error. */
export function dialWire(by: Transport, port: number, from?: { readonly address: string; readonly port: number }) {
  return new Promise<Wire>((resolve, reject) => {
    const to = { ip: ip('127.0.0.1'), port }
    const bound = from === undefined ? {} : { from: { ip: ip(from.address), port: from.port } }
    by.dial(
      { to, ...bound },
      {
        onConnect(wire) {
          onTestFinished(() => wire.destroy())
          resolve(wire)
        },
        onFailure: reject,
      },
    )
  })
}

export function untilClosed(wire: Wire): Promise<void> {
  return new Promise((resolve) => wire.onceClosed(resolve))
}

/** Everything that is told of a wire from now on, in order. */
export class Ears implements WireListener {
  readonly heard: string[] = []
  readonly #whenHeard: [string, () => void][] = []

  onBytes(bytes: Buffer): void {
    this.#tell(`bytes ${bytes.toString('latin1')}`)
  }

  onEnd(): void {
    this.#tell('end')
  }

  onError(cause: NodeJS.ErrnoException): void {
    this.#tell(`error ${cause.syscall} ${cause.code}`)
  }

  onClose(): void {
    this.#tell('close')
  }

  onDrain(): void {
    this.#tell('drain')
  }

  /** Resolves once this has been heard. */
  until(what: string): Promise<void> {
    if (this.heard.includes(what)) return Promise.resolve()
    return new Promise((resolve) => this.#whenHeard.push([what, resolve]))
  }

  #tell(what: string): void {
    this.heard.push(what)
    for (const [awaited, resolve] of this.#whenHeard) if (awaited === what) resolve()
  }
}

/** Resolves once the peer's FIN has been told; then nobody is attending any more. */
export async function untilEnded(wire: Wire): Promise<void> {
  const ears = new Ears()
  wire.attend(ears)
  await ears.until('end')
  wire.attend(undefined)
}
