// The origin of data-path load: as little work per exchange as a server can do, so that the proxy is what gets measured. Runs
// as a process of its own (`node origin.ts HOST`), prints its port, and stops when its standard input ends.

import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import { ANSWER, BULK } from './origin-process.ts'

const CHUNK = Buffer.alloc(256 * 1024, 0x2e)
const HEAD_END = '\r\n\r\n'

/** Starts the origin on this address; answers its port, where datagrams come back as they are. */
function startOrigin(host: string): Promise<number> {
  const server = createServer({ noDelay: true }, serve)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port: 0, backlog: 4096 }, () => {
      const address = server.address()
      if (address === null || typeof address === 'string') return reject(new Error('the origin has no port'))
      const { port } = address
      const echo = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', lookup: asItIs })
      echo.on('message', (payload, from) => echo.send(payload, from.port, from.address))
      echo.once('error', reject)
      echo.bind(port, host, () => resolve(port))
    })
  })
}

/** Addresses are addresses already. */
function asItIs(
  address: string,
  _options: unknown,
  done: (error: null, address: string, family: number) => void,
): void {
  done(null, address, address.includes(':') ? 6 : 4)
}

function serve(socket: Socket): void {
  let tail = ''
  socket.on('error', () => socket.destroy())
  socket.on('data', (data: Buffer) => {
    const text = tail + data.toString('latin1')
    if (text.startsWith(BULK)) return pour(socket)
    let from = 0
    for (let end = text.indexOf(HEAD_END); end >= 0; end = text.indexOf(HEAD_END, from)) {
      from = end + HEAD_END.length
      socket.write(ANSWER)
    }
    tail = text.slice(from)
  })
}

function pour(socket: Socket): void {
  socket.removeAllListeners('data')
  socket.resume()
  const more = () => {
    while (!socket.destroyed && socket.write(CHUNK)) {
      // the socket's own buffer says when to pause
    }
  }
  socket.on('drain', more)
  more()
}

const port = await startOrigin(process.argv[2] ?? '127.0.0.1')
process.stdout.write(`${port}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
