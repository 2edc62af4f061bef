// A thread with an engine of its own that serves an echo, keeps lending tunnels to its relay thread and having them back, and ends in
// the way it is told: wherever a descriptor is then, it has an owner.

import { parentPort } from 'node:worker_threads'
import type { ByteStream } from '../../../src/transport/byte-stream.ts'
import { openLinuxEngine } from '../../../src/transport/linux/linux-engine.ts'
import { NodeStream } from '../../../src/transport/node/node-stream.ts'

const engine = openLinuxEngine((socket, options) => new NodeStream(socket, options))
if (typeof engine === 'string') throw new Error(engine)
const listening = await engine.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
  stream.setHandler({
    onReadable() {
      for (let chunk = stream.read(); chunk !== undefined; chunk = stream.read()) stream.write(chunk)
    },
    onWritable() {},
    onClose() {},
  })
})
parentPort?.on('message', (how: 'close' | 'throw' | 'hold') => {
  if (how === 'throw') throw new Error('thrown on purpose')
  if (how === 'hold') {
    isHeld = true
    return
  }
  isOver = true
  void engine.close().then(() => parentPort?.close())
})

let isOver = false
/** tunnels stay lent: whoever terminates a thread cannot know which system call it is behind */
let isHeld = false
let held = 0
const LENDERS = 4
const silent = { onReadable() {}, onWritable() {}, onClose() {} }

/** The two ends of a connection, or nothing once the engine is closed. */
function pair(): Promise<readonly ByteStream[]> {
  return new Promise((resolve) => {
    if (typeof engine === 'string') return
    const dialled = Promise.withResolvers<ByteStream>()
    const accepted = Promise.withResolvers<ByteStream>()
    engine
      .listen({ host: '127.0.0.1', port: 0 }, accepted.resolve)
      .then(async (own) => {
        if (typeof engine === 'string') return
        engine.dial({ to: own.address }, { onConnect: dialled.resolve, onFailure: () => resolve([]) })
        resolve(await Promise.all([dialled.promise, accepted.promise]))
        await own.close()
      })
      .catch(() => resolve([]))
  })
}

async function lendForEver(number: number): Promise<void> {
  for (let round = number; !isOver; round++) {
    const [[client, inner], [outer, origin]] = await Promise.all([pair(), pair()])
    if (client === undefined || inner === undefined || outer === undefined || origin === undefined) return
    for (const stream of [client, inner, outer, origin]) stream.setHandler(silent)
    if (typeof engine !== 'string') engine.passOn(inner, outer, () => {})
    client.write(Buffer.alloc(300_000))
    if (isHeld) {
      if (++held === LENDERS) parentPort?.postMessage('held')
      return
    }
    for (let turn = 0; turn < round % 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    if (round % 2 === 0) inner.reset()
    else origin.reset()
    for (const stream of [client, inner, outer, origin]) stream.destroy()
  }
}

for (let number = 0; number < LENDERS; number++) void lendForEver(number)
parentPort?.postMessage({ port: listening.address.port, descriptor: engine.descriptor })
