// Starts threads with engines of their own, talks to them, and ends them in the way it is told. Prints `done` when the process outlived them.

import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { ip } from '../../../src/net/ip.ts'
import { openLinuxEngine } from '../../../src/transport/linux/linux-engine.ts'
import { NodeStream } from '../../../src/transport/node/node-stream.ts'

const how = process.argv[2]
const ROUNDS = 10
const engine = openLinuxEngine((socket, options) => new NodeStream(socket, options))
if (typeof engine === 'string') throw new Error(engine)
const before = readdirSync('/proc/self/fd').length
for (let round = 0; round < ROUNDS; round++) {
  const worker = new Worker(new URL('./worker.ts', import.meta.url))
  worker.on('error', () => {})
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  const { port, descriptor } = await new Promise<{ port: number; descriptor: number }>((resolve) => {
    worker.once('message', resolve)
  })
  await chat(port, 20)
  if (how === 'exit' && round === ROUNDS - 1) {
    process.stdout.write('done\n')
    process.exit(0)
  }
  if (how === 'terminate' || how === 'exit') {
    const held = new Promise((resolve) => worker.once('message', resolve))
    worker.postMessage('hold')
    await held
    await worker.terminate()
  } else worker.postMessage(how)
  await exited
  if (how !== 'close') engine.reclaim(descriptor)
  await refused(port)
}
await engine.close()
const left = readdirSync('/proc/self/fd').length - before
process.stdout.write(left <= 0 ? 'done\n' : `${left} descriptors left\n`)
process.exit(0)

/** Resolves once every one of these connections has had its first answer; they go on chatting until the worker ends. */
async function chat(port: number, connections: number): Promise<void> {
  const to = { ip: ip('127.0.0.1'), port }
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve, reject) => {
          if (typeof engine === 'string') return
          engine.dial(
            { to },
            {
              onConnect(stream) {
                stream.setHandler({
                  onReadable() {
                    resolve()
                    for (let chunk = stream.read(); chunk !== undefined; chunk = stream.read()) stream.write(chunk)
                    if (stream.hasEnded) stream.destroy()
                  },
                  onWritable() {},
                  onClose() {},
                })
                stream.write(Buffer.from('hello'))
              },
              onFailure: reject,
            },
          )
        }),
    ),
  )
}

/** Resolves when nobody listens on the port any more. */
function refused(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (typeof engine === 'string') return
    engine.dial(
      { to: { ip: ip('127.0.0.1'), port } },
      { onConnect: () => reject(new Error('somebody listens')), onFailure: () => resolve() },
    )
  })
}
