// The clients that take all they can get, and their origin, as a process of their own so that measuring is not in their way:
// `node fairness-load.ts HOST PORT AUTHORIZATION`. A bulk tunnel at full speed, and a client that pipelines for ever. Prints a line of JSON every
// second: bytes of the bulk tunnel and responses of the pipelining client so far.

import { connect, type Socket } from 'node:net'
import { drainedOrOver, FaultyOrigin } from './faulty-origin.ts'

export interface Load {
  readonly bulkBytes: number
  readonly responses: number
}

const [host = '', port = '', authorization = ''] = process.argv.slice(2)
const origin = await FaultyOrigin.open()
const target = `${origin.place.host}:${origin.place.ports[80]}`
const load = { bulkBytes: 0, responses: 0 }

const bulk = dial()
bulk.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${authorization}\r\n\r\n`)
bulk.write(`GET /endless HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
bulk.on('data', (chunk: Buffer) => {
  load.bulkBytes += chunk.length
})
const pipelining = dial()
pipelining.on('data', (chunk: Buffer) => {
  load.responses += chunk.toString('latin1').split('HTTP/1.1 200').length - 1
})
void pipelineForEver(pipelining)
setInterval(() => process.stdout.write(`${JSON.stringify(load)}\n`), 1000)
process.stdin.resume().once('end', () => process.exit(0))

function dial(): Socket {
  return connect({ host, port: Number(port), noDelay: true }).on('error', fail)
}

function fail(error: Error): void {
  process.stderr.write(`a client of the load was cut off: ${error.message}\n`)
  process.exit(1)
}

async function pipelineForEver(socket: Socket): Promise<void> {
  const head = `GET http://${target}/ok/10 HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${authorization}\r\n\r\n`
  const heads = Buffer.from(head.repeat(200))
  while (!socket.destroyed) if (!socket.write(heads)) await drainedOrOver(socket)
}
