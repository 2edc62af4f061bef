// Run with a low limit of descriptors: accepts until there are none, waits for a while, gives them back and accepts the rest. Prints one line
// of JSON: how many it accepted before, how many times the loop turned while it waited, and how many it accepted in all.

import { connect, type Socket } from 'node:net'
import type { ByteStream } from '../../../src/transport/byte-stream.ts'
import { openLinuxEngine } from '../../../src/transport/linux/linux-engine.ts'
import { NodeStream } from '../../../src/transport/node/node-stream.ts'

const CLIENTS = Number(process.argv[3])

if (process.argv[2] === 'clients') {
  const port = Number(process.argv[4])
  const sockets: Socket[] = Array.from({ length: CLIENTS }, () => connect(port, '127.0.0.1').on('error', () => {}))
  process.stdin.on('end', () => process.exit(0)).resume()
  process.on('exit', () => sockets.length)
} else {
  const engine = openLinuxEngine((socket, options) => new NodeStream(socket, options))
  if (typeof engine === 'string') throw new Error(engine)
  const held: ByteStream[] = []
  let accepted = 0
  const listening = await engine.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    accepted++
    held.push(stream)
    if (isReleasing) stream.destroy()
  })
  let isReleasing = false
  process.stdout.write(`${listening.address.port}\n`)
  let before = -1
  while (before !== accepted || accepted < 6) {
    before = accepted
    await pause(200)
  }
  const turns = engine.turns
  await pause(1000)
  const turned = engine.turns - turns
  isReleasing = true
  for (const stream of held) stream.destroy()
  while (accepted < CLIENTS) await pause(20)
  process.stdout.write(`${JSON.stringify({ before, turned, accepted })}\n`)
  await listening.close()
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
