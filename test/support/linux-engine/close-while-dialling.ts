// Closes an engine while it listens, talks, dials and has lent a tunnel to its relay thread, and dials once more from within. Prints one
// line of JSON: how many descriptors are left, and what the dials and the stream were told.

import { readdirSync } from 'node:fs'
import type { Endpoint } from '../../../src/net/endpoint.ts'
import { ip } from '../../../src/net/ip.ts'
import type { ByteStream } from '../../../src/transport/byte-stream.ts'
import { openLinuxEngine } from '../../../src/transport/linux/linux-engine.ts'
import { loadFfi } from '../../../src/transport/linux/load-ffi.ts'
import { openNative } from '../../../src/transport/linux/native.ts'
import { SystemCalls } from '../../../src/transport/linux/system-calls.ts'
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
const silent = { onReadable() {}, onWritable() {}, onClose() {} }
const [one, other] = await Promise.all([dialled(), dialled()])
for (const end of [one, other]) end.setHandler(silent)
if (!engine.passOn(one, other, () => told.push('returned'))) throw new Error('the tunnel was not taken')
const full = fullListener()
for (let dial = 0; dial < 5; dial++) engine.dial({ to: full.address }, listener)
await engine.close()
full.close()

function dialled(): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    if (typeof engine !== 'string') engine.dial({ to: listening.address }, { onConnect: resolve, onFailure: reject })
  })
}

/** Accepts nobody, and its queue is full: a dial hangs. */
function fullListener(): { readonly address: Endpoint; readonly close: () => void } {
  const ffi = loadFfi()
  if (typeof ffi === 'string') throw new Error(ffi)
  const calls = new SystemCalls(openNative(ffi))
  const fd = calls.tcpSocket(4)
  calls.bind(fd, { ip: ip('127.0.0.1'), port: 0 })
  calls.listen(fd, 0)
  const address = calls.localEndpoint(fd)
  if (address === undefined) throw new Error('nothing listens')
  const waiting = [calls.tcpSocket(4), calls.tcpSocket(4)]
  for (const one of waiting) calls.connect(one, address)
  return { address, close: () => [fd, ...waiting].map((one) => calls.close(one)) }
}

const left = () => Math.max(0, readdirSync('/proc/self/fd').length - before)
// Node itself may hold one for a moment
for (let turn = 0; turn < 10_000 && (turn === 0 || left() > 0); turn++) {
  await new Promise((resolve) => setImmediate(resolve))
}
process.stdout.write(JSON.stringify({ left: left(), told }))
