// An address that neither answers nor refuses: a listener in a thread that has stopped, its queue filled up. The kernel
// drops what comes then, so a connect hangs as it does towards a host behind a dropping firewall.

import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'

const LISTEN_AND_STOP = `
  const { parentPort, workerData } = require('node:worker_threads')
  const server = require('node:net').createServer()
  server.listen({ host: workerData, port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  })
`
const QUEUE_LENGTH = 2

/** The port on `host`; `room`: how many may still connect, and wait to be accepted for ever. Throws when the kernel still accepts after
 *  the queue should be full. */
export async function silentOrigin(host: string, room = 0): Promise<number> {
  const worker = new Worker(LISTEN_AND_STOP, { eval: true, workerData: host })
  const port = await new Promise<number>((resolve, reject) => worker.once('message', resolve).once('error', reject))
  const fillers = Array.from({ length: QUEUE_LENGTH - room }, () => connect(port, host).on('error', () => {}))
  onTestFinished(async () => {
    for (const filler of fillers) filler.destroy()
    await worker.terminate()
  })
  await Promise.all(fillers.map((filler) => new Promise((resolve) => filler.once('connect', resolve))))
  if (room > 0) return port
  const probe = connect(port, host).on('error', () => {})
  const connected = await Promise.race([
    new Promise((resolve) => probe.once('connect', () => resolve(true))),
    delay(50),
  ])
  probe.destroy()
  if (connected) throw new Error('the queue of the silent origin is not full')
  return port
}
