// Promises every engine keeps about UDP, on real sockets of loopback.

import { describe, expect, onTestFinished, test } from 'vitest'
import type { Endpoint } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import type { DatagramHandler, DatagramSocket } from '../../src/transport/datagrams.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { enginesHere, generator, randomBytes } from '../support/engine-streams.ts'
import { ownPort } from '../support/own-network.ts'

describe.each(enginesHere().map((engine) => [engine.name, engine] as const))(
  'datagrams of engine %s',
  (_name, engine) => {
    test('each arrives whole and in order, from whoever sent it, whatever its size', async () => {
      const [one, other] = [await bind(engine), await bind(engine)]
      const ear = new DatagramEar(other)
      const random = generator(5)
      const sent = Array.from({ length: 300 }, (_, at) => randomBytes(random, at % 50 === 0 ? 60_000 : random() % 1500))
      let from = 0
      for (; from < sent.length; from += 3) {
        for (const payload of sent.slice(from, from + 3)) one.send(other.address, payload)
        await ear.until(from + 3)
      }
      expect(ear.payloads.map((payload, at) => payload.equals(sent[at] ?? Buffer.alloc(0)))).toEqual(
        sent.map(() => true),
      )
      expect(new Set(ear.senders.map(({ port }) => port))).toEqual(new Set([one.address.port]))
    })

    test('a header and a payload are one datagram, and both may be reused at once', async () => {
      const [one, other] = [await bind(engine), await bind(engine)]
      const ear = new DatagramEar(other)
      const header = Buffer.from('head:')
      const payload = Buffer.from('body')
      one.send(other.address, payload, header)
      header.fill('x')
      payload.fill('x')
      await ear.until(1)
      expect(ear.payloads.toString()).toBe('head:body')
    })

    test('many sockets send to each other in one turn: every datagram reaches the right one', async () => {
      const sockets = await Promise.all(Array.from({ length: 8 }, () => bind(engine)))
      const ears = sockets.map((socket) => new DatagramEar(socket))
      for (let round = 0; round < 10; round++) {
        for (const from of sockets) for (const to of sockets) from.send(to.address, Buffer.from(`${to.address.port}`))
      }
      await Promise.all(ears.map((ear) => ear.until(80)))
      for (const [at, ear] of ears.entries()) {
        expect(new Set(ear.payloads.map(String))).toEqual(new Set([`${sockets[at]?.address.port}`]))
        expect(new Set(ear.senders.map(({ port }) => port)).size).toBe(8)
      }
    })

    test('over IPv6 as well', async () => {
      const [one, other] = [await bind(engine, '::1'), await bind(engine, '::1')]
      const ear = new DatagramEar(other)
      one.send(other.address, Buffer.from('six'))
      await ear.until(1)
      expect(ear.senders).toEqual([one.address])
    })

    test('a datagram that is too large is told, and those behind it leave', async () => {
      const [one, other] = [await bind(engine), await bind(engine)]
      const ear = new DatagramEar(other)
      const failures = new DatagramEar(one)
      one.send(other.address, Buffer.from('before'))
      one.send(other.address, Buffer.alloc(65_530))
      one.send(other.address, Buffer.alloc(70_000))
      one.send(other.address, Buffer.from('behind'))
      await ear.until(2)
      await failures.until(2)
      expect(ear.payloads.map(String)).toEqual(['before', 'behind'])
      expect(failures.failures).toEqual([`EMSGSIZE ${other.address.port}`, `EMSGSIZE ${other.address.port}`])
    })

    test('a port in use and a missing address are errors of the system, and leave no socket', async () => {
      const one = await bind(engine)
      await expect(engine.bindDatagrams(one.address)).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' })
      const missing = { ip: ip('203.0.113.9'), port: 0 }
      await expect(engine.bindDatagrams(missing)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind' })
    })

    // ICMP errors of unconnected sockets reach the engine `linux` alone
    if (engine.name !== 'linux') return
    test('a closed port is told, for the destination that has it, and disturbs no other', async () => {
      const [one, other] = [await bind(engine), await bind(engine)]
      const ear = new DatagramEar(other)
      const failures = new DatagramEar(one)
      const closed = { ip: ip('127.0.0.1'), port: ownPort(0) }
      for (let round = 0; round < 20; round++) {
        one.send(closed, Buffer.from('nobody'))
        one.send(other.address, Buffer.from('somebody'))
        await ear.until(round + 1)
      }
      await failures.until(1)
      expect(new Set(failures.failures)).toEqual(new Set([`ECONNREFUSED ${closed.port}`]))
    })
  },
)

async function bind(engine: Engine, address = '127.0.0.1'): Promise<DatagramSocket> {
  const socket = await engine.bindDatagrams({ ip: ip(address), port: 0 })
  onTestFinished(() => socket.close())
  return socket
}

class DatagramEar implements DatagramHandler {
  readonly payloads: Buffer[] = []
  readonly senders: Endpoint[] = []
  readonly failures: string[] = []
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined

  constructor(socket: DatagramSocket) {
    socket.setHandler(this)
  }

  onDatagram(payload: Buffer, from: Endpoint): void {
    this.payloads.push(Buffer.from(payload))
    this.senders.push(from)
    this.#check()
  }

  onFailure({ code }: NodeJS.ErrnoException, to: Endpoint): void {
    this.failures.push(`${code} ${to.port}`)
    this.#check()
  }

  /** Resolves once so many datagrams have come or failed. */
  until(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { count, resolve }
      this.#check()
    })
  }

  #check(): void {
    if (this.#waiting === undefined || this.payloads.length + this.failures.length < this.#waiting.count) return
    this.#waiting.resolve()
  }
}
