// The exits of a scenario: each proxy elsewhere that the configuration names is played by one of this process, so that it can fail
// and work again. It takes CONNECT without a login and connects from wherever the system likes.

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConfiguredExit } from '../config/lab-config.ts'
import { parseAuthority } from '../net/host.ts'
import { ip } from '../net/ip.ts'

export interface LocalExits {
  /** the same exits, at where they really are; messages still name them as configured */
  readonly exits: readonly ConfiguredExit[]
  /** Lets the exit of an address fail, connections and all, or work again. */
  set(address: string, up: boolean): Promise<void>
  close(): Promise<void>
}

/** Starts one for each. */
export async function startLocalExits(configured: readonly ConfiguredExit[]): Promise<LocalExits> {
  const running = await Promise.all(configured.map(async (exit) => ({ exit, own: await OwnExit.start() })))
  return {
    exits: running.map(({ exit: { realises, text }, own }) => {
      return { realises, text, kind: 'http', at: { ip: ip('127.0.0.1'), port: own.port } }
    }),
    set: async (address, up) => {
      const found = running.find(({ exit }) => exit.realises.includes(address))
      await (up ? found?.own.listen() : found?.own.fail())
    },
    close: async () => {
      await Promise.all(running.map(({ own }) => own.fail()))
    },
  }
}

class OwnExit {
  port = 0
  readonly #server: Server
  readonly #open = new Set<Duplex>()

  private constructor() {
    this.#server = createServer((_request, response) => response.writeHead(405).end())
    this.#server.on('connect', (request, client: Duplex) => this.#connect(request.url ?? '', client))
  }

  static async start(): Promise<OwnExit> {
    const exit = new OwnExit()
    await exit.listen()
    return exit
  }

  /** At the first time on a free port, then on the same one again. */
  async listen(): Promise<void> {
    if (this.#server.listening) return
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  async fail(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    for (const socket of this.#open) socket.destroy()
    await closed
  }

  #connect(authority: string, client: Duplex): void {
    const target = parseAuthority(authority)
    if (target?.kind !== 'ip') return void client.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    const origin: Socket = connect({ host: target.ip.text, port: target.port })
    for (const [one, other] of [
      [client, origin],
      [origin, client],
    ] as const) {
      this.#open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        this.#open.delete(one)
        other.destroy()
      })
    }
    origin.once('connect', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      client.pipe(origin).pipe(client)
    })
  }
}
