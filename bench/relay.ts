// What the relay costs: bytes per processor second of the proxy process, and memory per idle tunnel, for each way of reading
// from a socket. Alternates the ways, prints medians and ratios.
//
//   node bench/relay.ts [--seconds 2] [--rounds 3] [--tunnels 2000]

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const WAYS = ['pipe', 'node', 'mixed', 'engine', 'thread'] as const
const DIRECTIONS = ['down', 'up'] as const
const BULK_TUNNELS = 4
const BLOCK = Buffer.alloc(256 * 1024, 'x')

interface Usage {
  readonly bytes: number
  readonly cpuMicros: number
  readonly rss: number
}

interface Options {
  readonly seconds: number
  readonly rounds: number
  readonly tunnels: number
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      tunnels: { type: 'string', default: '2000' },
      x: { type: 'boolean' },
    },
  })
  const options = { seconds: Number(values.seconds), rounds: Number(values.rounds), tunnels: Number(values.tunnels) }
  await benchBulk(options)
  await benchChurn(options)
  await benchIdle(options)
}

/** Tunnels opened, one byte there and back, closed. */
async function benchChurn({ seconds, rounds }: Options): Promise<void> {
  const results = new Map<string, number[]>()
  for (let round = 0; round < rounds; round++) {
    for (const way of WAYS) {
      results.set(way, [...(results.get(way) ?? []), await cpuMicrosPerTunnel(way, seconds)])
    }
  }
  for (const way of WAYS) print(`churn ${way.padEnd(8)} ${median(results.get(way) ?? []).toFixed(0)} µs CPU per tunnel`)
}

async function cpuMicrosPerTunnel(way: string, seconds: number): Promise<number> {
  const bed = await startBed(way, (socket) => socket.once('data', () => socket.end('y')))
  let opened = 0
  const churnUntil = async (end: number) => {
    while (performance.now() < end) {
      const client = await bed.open()
      client.end('x')
      await once(client.resume(), 'close')
      opened++
    }
  }
  const churn = (ms: number) => Promise.all(Array.from({ length: 50 }, () => churnUntil(performance.now() + ms)))
  await churn(500)
  opened = 0
  const before = await bed.usage()
  await churn(seconds * 1_000)
  const after = await bed.usage()
  await bed.stop()
  return (after.cpuMicros - before.cpuMicros) / opened
}

async function benchBulk({ seconds, rounds }: Options): Promise<void> {
  const results = new Map<string, number[]>()
  for (let round = 0; round < rounds; round++) {
    for (const direction of DIRECTIONS) {
      for (const way of WAYS) {
        const key = `${direction} ${way}`
        results.set(key, [...(results.get(key) ?? []), await bytesPerCpuMicro(way, direction, seconds)])
      }
    }
  }
  for (const direction of DIRECTIONS) {
    const reference = median(results.get(`${direction} pipe`) ?? [])
    for (const way of WAYS) {
      const value = median(results.get(`${direction} ${way}`) ?? [])
      print(
        `${direction.padEnd(5)} ${way.padEnd(8)} ${(value / 1_000).toFixed(2)} GB per CPU second, ${(value / reference).toFixed(2)} × pipe`,
      )
    }
  }
}

async function benchIdle({ tunnels }: Options): Promise<void> {
  for (const way of WAYS) {
    const bed = await startBed(way, (socket) => socket.resume())
    const before = await bed.usage()
    for (let opened = 0; opened < tunnels; opened += 100) {
      await Promise.all(Array.from({ length: 100 }, () => bed.open().then(exchangeOneByte)))
    }
    const after = await bed.usage()
    print(
      `idle  ${way.padEnd(8)} ${((after.rss - before.rss) / 1_024 / tunnels).toFixed(1)} KB per tunnel, ${tunnels} open`,
    )
    await bed.stop()
  }
}

async function bytesPerCpuMicro(way: string, direction: string, seconds: number): Promise<number> {
  const bed = await startBed(way, (socket) => (direction === 'down' ? flood(socket) : socket.on('data', () => {})))
  for (let n = 0; n < BULK_TUNNELS; n++) {
    const client = await bed.open()
    if (direction === 'up') flood(client)
    else client.on('data', () => {})
  }
  await delay(300)
  const before = await bed.usage()
  await delay(seconds * 1_000)
  const after = await bed.usage()
  await bed.stop()
  return (after.bytes - before.bytes) / (after.cpuMicros - before.cpuMicros)
}

/** An origin and clients in this process, the proxy under test in a child. */
async function startBed(way: string, atOrigin: (socket: Socket) => unknown) {
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket.on('error', () => {}))
    return socket
  }
  const origin = createServer({ noDelay: true }, (socket) => void atOrigin(keep(socket)))
  origin.listen(0, '127.0.0.1', 4_096)
  await once(origin, 'listening')
  const proxy = fork(
    new URL('./relay-proxy.ts', import.meta.url),
    [way, String((origin.address() as AddressInfo).port)],
    {
      execArgv: ['--expose-gc'],
    },
  )
  const port = (await ask<{ port: number }>(proxy)).port
  return {
    async open(): Promise<Socket> {
      const socket = keep(connect({ port, host: '127.0.0.1', noDelay: true }))
      await once(socket, 'connect')
      return socket
    },
    usage: () => ask<Usage>(proxy, 'usage'),
    async stop(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      origin.close()
      proxy.kill('SIGKILL')
      await once(proxy, 'exit')
    },
  }
}

async function ask<Reply>(proxy: ChildProcess, question?: string): Promise<Reply> {
  const answered = once(proxy, 'message')
  if (question !== undefined) proxy.send(question)
  const [reply] = await answered
  return reply as Reply
}

async function exchangeOneByte(client: Socket): Promise<void> {
  client.write('x')
  client.pause()
}

function flood(socket: Socket): void {
  const write = () => {
    while (!socket.destroyed && socket.write(BLOCK));
  }
  socket.on('drain', write)
  write()
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

await main()
