// Closes an engine while it listens, talks and dials, and dials once more from within. Prints one line of
// JSON: how many descriptors are left, and what the dials and the stream were told.

import { readdirSync } from 'node:fs'
import { ip } from '../../../src/net/ip.ts'
import type { ByteStream } from '../../../src/transport/byte-stream.ts'
import { openLinuxEngine } from '../../../src/transport/linux/linux-engine.ts'
import { NodeStream } from '../../../src/transport/node/node-stream.ts'

const before = readdirSync('/proc/self/fd').length
const engine = openLinuxEngine((socket, options) => new NodeStream(socket, options))
if (typeof engine === 'string') throw new Error(engine)
const told: (string | undefined)[] = []
const listener = {
  onConnect: () => told.push('connected'),
  onFailure: (error: NodeJS.ErrnoException) => told.push(error.code),
}
const accepted = Promise.withResolvers<ByteStream>()
const listening = await engine.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, accepted.resolve)
engine.dial({ to: listening.address }, { onConnect: () => {}, onFailure: () => {} })
const stream = await accepted.promise
stream.setHandler({
  onReadable() {},
  onWritable() {},
  onClose({ how }) {
    told.push(how)
    engine.dial({ to: listening.address }, listener)
  },
})
for (let dial = 0; dial < 5; dial++)
  engine.dial({ to: { ip: ip('127.0.0.1'), port: listening.address.port } }, listener)
await engine.close()
const left = () => Math.max(0, readdirSync('/proc/self/fd').length - before)
// Node itself may hold one for a moment
for (let turn = 0; turn < 10_000 && (turn === 0 || left() > 0); turn++) {
  await new Promise((resolve) => setImmediate(resolve))
}
process.stdout.write(JSON.stringify({ left: left(), told }))
