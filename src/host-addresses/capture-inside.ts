// A process of its own, inside the namespace where every address is local: takes the ports, hands TCP listeners to the process
// outside, passes datagrams to and fro, and runs the program. Looks at no byte and decides nothing.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Endpoint } from '../net/endpoint.ts'
import { ip } from '../net/ip.ts'
import { openLinuxEngine } from '../transport/linux/linux-engine.ts'
import { NodeStream } from '../transport/node/node-stream.ts'
import { exitCodeOf, runProgram } from './run-program.ts'

/** One side of a datagram's way, as it goes between the processes. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface CapturedDatagram {
  readonly kind: 'datagram'
  readonly from: HostPort
  readonly to: HostPort
  readonly payload: Uint8Array
}

/** What the process outside says. */
export type ToInside =
  | CapturedDatagram
  | {
      readonly kind: 'start'
      readonly ports: readonly number[]
      readonly command: readonly string[]
      readonly env: NodeJS.ProcessEnv
    }

/** What this process says. `listener` comes with the listener itself. */
export type FromInside =
  | CapturedDatagram
  | { readonly kind: 'listener'; readonly port: number }
  | { readonly kind: 'running'; readonly whyNoUdp: string | undefined }

const engine = openLinuxEngine((socket, options) => new NodeStream(socket, options))
const captured =
  typeof engine === 'string'
    ? undefined
    : engine.captureDatagrams((payload, from, to) =>
        say({ kind: 'datagram', from: plain(from), to: plain(to), payload }),
      )

process.on('message', (said: ToInside) => {
  if (said.kind === 'start') void start(said)
  else captured?.send(said.payload, endpoint(said.from), endpoint(said.to))
})

async function start({ ports, command, env }: Extract<ToInside, { kind: 'start' }>): Promise<void> {
  for (const port of ports) {
    const server = createServer({ pauseOnConnect: true })
    server.listen(port)
    await once(server, 'listening')
    await new Promise((resolve) => process.send?.({ kind: 'listener', port } satisfies FromInside, server, {}, resolve))
    // the other process has it now
    server.close()
    captured?.listen(port)
  }
  say({ kind: 'running', whyNoUdp: typeof engine === 'string' ? engine : undefined })
  const onStart = (child: ChildProcess) => void process.on('disconnect', () => child.kill('SIGHUP'))
  process.exit(
    await exitCodeOf(
      command,
      () => runProgram(command, { env, onStart }),
      (text) => process.stderr.write(text),
    ),
  )
}

function say(message: FromInside): void {
  if (process.connected) process.send?.(message)
}

function plain({ ip: { text }, port }: Endpoint): HostPort {
  return { host: text, port }
}

function endpoint({ host, port }: HostPort): Endpoint {
  return { ip: ip(host), port }
}
