// A thread with an engine of its own that serves an echo and ends in the way it is told.

import { parentPort } from 'node:worker_threads'
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
parentPort?.on('message', (how: 'close' | 'throw') => {
  if (how === 'throw') throw new Error('thrown on purpose')
  void engine.close().then(() => parentPort?.close())
})
parentPort?.postMessage({ port: listening.address.port, descriptor: engine.descriptor })
