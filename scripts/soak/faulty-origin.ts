// The soak's own origins, outside the lab's process: HTTP/1.1 over bare sockets that reset, end early, do not read or never stop,
// as the path asks, and ports that reset, refuse or never answer a connection. Keeps what it saw of every connection, so that each
// session record can be compared with it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { FAULT_PORTS, type OriginPlace } from './soaked-config.ts'

/** A connection as the origin saw it. */
export interface Visit {
  /** epoch ms */
  readonly at: number
  bytesRead: number
  bytesWritten: number
  /** both directions came to an orderly end */
  isClean: boolean
  /** by the judge */
  record?: string
}

/** Where connections are under that were reset before the origin could ask where they came from. */
export const UNSEEN = 'undefined:undefined'

const HOST = '127.0.0.1'
/** privileged, and no service of today's */
const REFUSING_PORT = 1
const BODY = 100_000
const CHUNK = Buffer.alloc(64 * 1024, 'e')

export class FaultyOrigin {
  /** by the addresses and ports of both ends (`A:1 to B:2`), in order; the lab uses a port towards several destinations at a time */
  readonly visits = new Map<string, Visit[]>()
  readonly #servers: readonly Server[]
  readonly #hole: BlackHole
  readonly #tails = new Map<string, (bytes: number) => void>()
  readonly #begun = new Map<string, () => void>()
  readonly #open = new Set<Socket>()

  private constructor(servers: readonly Server[], hole: BlackHole) {
    this.#servers = servers
    this.#hole = hole
  }

  /** Resolves when every port is as it should be. */
  static async open(): Promise<FaultyOrigin> {
    const options = { allowHalfOpen: true, noDelay: true }
    const servers = [createServer(options), createServer(options)]
    for (const server of servers) {
      server.listen({ host: HOST, port: 0, backlog: 1024 })
      await once(server, 'listening')
    }
    const origin = new FaultyOrigin(servers, await BlackHole.open())
    servers[0]?.on('connection', (socket) => origin.#serve(socket))
    servers[1]?.on('connection', (socket) => {
      origin.#enter(socket)
      socket.resetAndDestroy()
    })
    return origin
  }

  get place(): OriginPlace {
    const [web, resets] = this.#servers.map((server) => (server.address() as AddressInfo).port)
    return {
      host: HOST,
      ports: {
        [FAULT_PORTS.web]: web ?? 0,
        [FAULT_PORTS.resetsAtOnce]: resets ?? 0,
        [FAULT_PORTS.refuses]: REFUSING_PORT,
        [FAULT_PORTS.neverAnswers]: this.#hole.port,
      },
    }
  }

  /** connections under way */
  get open(): number {
    return this.#open.size
  }

  /** How many bytes came after the origin had ended `/half-close/TOKEN`. */
  tail(token: string): Promise<number> {
    return new Promise((resolve) => this.#tails.set(token, resolve))
  }

  /** Resolves when the head of `/upload/MS/TOKEN` has come. */
  begun(token: string): Promise<true> {
    return new Promise((resolve) => this.#begun.set(token, () => resolve(true)))
  }

  close(): void {
    for (const server of this.#servers) server.close()
    for (const socket of this.#open) socket.destroy()
    this.#hole.close()
  }

  #enter(socket: Socket): Visit {
    const from = `${socket.remoteAddress}:${socket.remotePort}`
    const key = from === UNSEEN ? from : `${from} to ${socket.localAddress}:${socket.localPort}`
    const visit: Visit = { at: Date.now(), bytesRead: 0, bytesWritten: 0, isClean: false }
    this.visits.set(key, [...(this.visits.get(key) ?? []), visit])
    this.#open.add(socket)
    let failed = false
    socket.on('error', () => {
      failed = true
    })
    socket.on('close', () => {
      this.#open.delete(socket)
      visit.bytesRead = socket.bytesRead
      visit.bytesWritten = socket.bytesWritten
      visit.isClean = !failed && socket.readableEnded && socket.writableFinished
    })
    return visit
  }

  #serve(socket: Socket): void {
    this.#enter(socket)
    void this.#converse(socket).catch(() => socket.destroy())
  }

  /** One request after the other. */
  async #converse(socket: Socket): Promise<void> {
    const input = new Input(socket)
    for (;;) {
      const head = await input.until('\r\n\r\n')
      if (head === undefined) {
        socket.end()
        return
      }
      const path = / (\S+) /.exec(head)?.[1]?.replace(/^http:\/\/[^/]+/, '') ?? ''
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
      if (!(await this.#answer(path, { socket, input, length }))) return
    }
  }

  /** False when the connection is done with. */
  async #answer(path: string, { socket, input, length }: Asked): Promise<boolean> {
    const [, what = '', detail = '', token = ''] = path.split('/')
    switch (what) {
      case 'ok':
        return say(socket, Buffer.alloc(Number(detail), 'o'))
      case 'upload':
        this.#begun.get(token)?.()
        this.#begun.delete(token)
        await pause(Number(detail))
        return say(socket, Buffer.from(String(await input.skip(length))))
      case 'once':
        say(socket, Buffer.from('once'))
        await pause(Number(detail))
        socket.end()
        input.drain()
        return false
      case 'once-reset':
        say(socket, Buffer.from('once'))
        await pause(Number(detail))
        socket.resetAndDestroy()
        return false
      case 'reset':
        socket.resetAndDestroy()
        return false
      case 'reset-body':
        socket.write(headOf(BODY))
        socket.write(Buffer.alloc(BODY / 2, 'r'), () => socket.resetAndDestroy())
        return false
      case 'end-body':
        socket.write(headOf(BODY))
        socket.end(Buffer.alloc(BODY / 2, 'r'))
        input.drain()
        return false
      case 'half-close':
        socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe origin has ended')
        this.#tails.get(detail)?.(await input.drain())
        this.#tails.delete(detail)
        return false
      case 'swallow':
        await input.skip(Number(detail))
        socket.resetAndDestroy()
        return false
      case 'hang':
        await input.drain()
        socket.end()
        return false
      case 'endless':
        input.drain()
        await writeForEver(socket)
        return false
      default:
        socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        return false
    }
  }
}

interface Asked {
  readonly socket: Socket
  readonly input: Input
  /** of the request's body */
  readonly length: number
}

function headOf(length: number): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`
}

function say(socket: Socket, body: Buffer): true {
  socket.write(Buffer.concat([Buffer.from(headOf(body.length)), body]))
  return true
}

async function writeForEver(socket: Socket): Promise<void> {
  socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
  while (!socket.destroyed) if (!socket.write(CHUNK)) await drainedOrOver(socket)
}

/** Bytes of a connection, read as they are asked for; what nobody asks for stays in the system's buffer. */
class Input {
  readonly #socket: Socket
  #held: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.pause()
  }

  /** Up to and with this mark; undefined where the peer ends before it. */
  async until(mark: string): Promise<string | undefined> {
    for (;;) {
      const at = this.#held.indexOf(mark)
      if (at >= 0) return this.#take(at + mark.length).toString('latin1')
      if (!(await this.#more())) return undefined
    }
  }

  /** Passes over so many bytes; how many there were. */
  async skip(count: number): Promise<number> {
    let left = count
    for (;;) {
      left -= this.#take(Math.min(left, this.#held.length)).length
      if (left === 0 || !(await this.#more())) return count - left
    }
  }

  /** Passes over everything there is to come; how much it was. */
  async drain(): Promise<number> {
    let bytes = 0
    do bytes += this.#take(this.#held.length).length
    while (await this.#more())
    return bytes
  }

  #take(count: number): Buffer {
    const taken = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(count)
    return taken
  }

  async #more(): Promise<boolean> {
    const socket = this.#socket
    for (;;) {
      const chunk: Buffer | null = socket.read()
      if (chunk !== null) {
        this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
        return true
      }
      if (socket.readableEnded || socket.destroyed) return false
      await readableOrOver(socket)
    }
  }
}

/** Resolves when there is something to read, the peer has ended, or the socket is closed. */
export function readableOrOver(socket: Socket): Promise<void> {
  return firstOf(socket, ['readable', 'end', 'close'])
}

/** Resolves when there is room to write again, or the socket is closed. */
export function drainedOrOver(socket: Socket): Promise<void> {
  return socket.destroyed ? Promise.resolve() : firstOf(socket, ['drain', 'close'])
}

/** Leaves no listener behind. */
function firstOf(socket: Socket, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) socket.off(event, done)
      resolve()
    }
    for (const event of events) socket.on(event, done)
  })
}

/** A port that the system never completes a handshake at: a process that listens, is stopped, and has as many connections waiting as
 *  its queue takes. */
class BlackHole {
  readonly port: number
  readonly #child: ChildProcess
  readonly #waiting: readonly Socket[]

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    this.#waiting = Array.from({ length: 4 }, () => connect(port, HOST).on('error', () => undefined))
  }

  static async open(): Promise<BlackHole> {
    const code = `const s = require('net').createServer()
      s.listen({ host: '${HOST}', port: 0, backlog: 1 }, () => console.log(s.address().port))`
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    child.kill('SIGSTOP')
    return new BlackHole(child, Number(line))
  }

  close(): void {
    for (const socket of this.#waiting) socket.destroy()
    this.#child.kill('SIGKILL')
  }
}
