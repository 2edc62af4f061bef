// Keeps a number of operations running for a while and measures how long each takes.

import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createHistogram } from 'node:perf_hooks'
import { messageOf } from '../../errors/thrown.ts'
import { BUCKETS, countIn } from '../decide-load.ts'
import { associate, openRequests, openTunnel, type ProxyUnderTest, type TunnelKind, tunnelOnce } from './operation.ts'
import { BULK } from './origin-process.ts'

export type LoadMode = TunnelKind | 'http' | 'relay' | 'udp'

export interface LoadResult {
  readonly mode: LoadMode
  readonly seconds: number
  readonly operations: number
  readonly failures: number
  /** first failure, in words */
  readonly failure?: string
  /** bytes received, relay only */
  readonly bytes: number
  /** nanoseconds; relay has none */
  readonly latency: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number }
  /** operations by duration, as {@link countIn} counts; relay has none */
  readonly buckets: readonly number[]
}

export interface LoadOptions {
  readonly mode: LoadMode
  readonly concurrency: number
  readonly seconds: number
  /** requests past the proxy, straight to the origin (`http` only) */
  readonly straight?: boolean
  readonly onProgress?: (share: number) => void
}

/** Runs load against a proxy. Failures of single operations are counted, not thrown. */
export async function runLoad(subject: ProxyUnderTest, options: LoadOptions): Promise<LoadResult> {
  const histogram = createHistogram()
  const tally = { operations: 0, failures: 0, bytes: 0, failure: '' }
  const buckets = new Array<number>(BUCKETS).fill(0)
  const start = performance.now()
  const end = start + options.seconds * 1000
  const ticker = setInterval(() => options.onProgress?.(Math.min(1, (performance.now() - start) / (end - start))), 200)
  const work = WORKERS[options.mode]
  const job = { subject, options, histogram, buckets, tally, end }
  await Promise.all(Array.from({ length: options.concurrency }, () => work(job)))
  clearInterval(ticker)
  const { operations, failures, bytes, failure } = tally
  return {
    mode: options.mode,
    seconds: (performance.now() - start) / 1000,
    operations,
    failures,
    ...(failure === '' ? {} : { failure }),
    bytes,
    buckets,
    latency: {
      p50: histogram.percentile(50),
      p90: histogram.percentile(90),
      p99: histogram.percentile(99),
      max: operations === 0 ? 0 : histogram.max,
    },
  }
}

interface Job {
  readonly subject: ProxyUnderTest
  readonly options: LoadOptions
  readonly histogram: ReturnType<typeof createHistogram>
  readonly buckets: number[]
  readonly tally: { operations: number; failures: number; bytes: number; failure: string }
  readonly end: number
}

const WORKERS: Readonly<Record<LoadMode, (job: Job) => Promise<void>>> = {
  connect: (job) => repeat(job, () => tunnelOnce('connect', job.subject)),
  socks5: (job) => repeat(job, () => tunnelOnce('socks5', job.subject)),
  http: async (job) => {
    let connection = await openRequests(job.subject, job.options.straight)
    await repeat(job, async () => {
      try {
        await connection.request()
      } catch (error) {
        connection.close()
        connection = await openRequests(job.subject, job.options.straight)
        throw error
      }
    })
    connection.close()
  },
  udp: async (job) => {
    const association = await Association.open(job.subject)
    await repeat(job, () => association.roundTrip())
    association.close()
  },
  relay: async (job) => {
    const socket = await openTunnel('connect', job.subject)
    await new Promise<void>((resolve) => {
      socket.on('data', (data: Buffer) => {
        job.tally.bytes += data.length
        if (performance.now() >= job.end) socket.destroy()
      })
      socket.once('close', () => resolve())
      socket.write(BULK)
    })
    job.tally.operations++
  },
}

async function repeat({ histogram, buckets, tally, end }: Job, operation: () => Promise<void>): Promise<void> {
  while (performance.now() < end) {
    const start = performance.now()
    try {
      await operation()
      const took = Math.max(1, Math.round((performance.now() - start) * 1e6))
      histogram.record(took)
      countIn(buckets, took)
      tally.operations++
    } catch (error) {
      tally.failures++
      tally.failure ||= messageOf(error)
      if (tally.failures > 1000 && tally.operations === 0) return
    }
  }
}

const PAYLOAD = Buffer.alloc(64, 0x2e)
/** Loopback loses datagrams only where a buffer is full. */
const LOST_AFTER_MS = 1_000

/** Load by datagrams: a SOCKS5 UDP association, and round trips through it to the load origin, which sends back what it gets. */
class Association {
  readonly #control: Socket
  readonly #socket: UdpSocket
  readonly #datagram: Buffer
  #answered: (() => void) | undefined

  private constructor(control: Socket, socket: UdpSocket, datagram: Buffer) {
    this.#control = control
    this.#socket = socket
    this.#datagram = datagram
    socket.on('message', () => this.#answered?.())
  }

  /** Logs in, associates, and connects a socket to the relay. */
  static async open(subject: ProxyUnderTest): Promise<Association> {
    const { control, relay } = await associate(subject)
    const socket = createSocket('udp4')
    socket.bind(0, control.localAddress)
    await once(socket, 'listening')
    socket.connect(relay.port, relay.ip.text)
    await once(socket, 'connect')
    const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    header.writeUInt32BE(subject.origin.ip.words[0] ?? 0, 4)
    header.writeUInt16BE(subject.origin.port, 8)
    return new Association(control, socket, Buffer.concat([header, PAYLOAD]))
  }

  /** One datagram there and back. Rejects when it does not come back within a second. */
  roundTrip(): Promise<void> {
    return new Promise((resolve, reject) => {
      const lost = setTimeout(() => reject(new Error('a datagram did not come back')), LOST_AFTER_MS)
      this.#answered = () => {
        clearTimeout(lost)
        resolve()
      }
      this.#socket.send(this.#datagram)
    })
  }

  close(): void {
    this.#socket.close()
    this.#control.destroy()
  }
}
