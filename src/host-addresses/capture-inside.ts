// A process of its own, inside the namespace where every address is local: takes the ports, hands TCP listeners to the process
// outside, passes datagrams to and fro, and runs the program. Looks at no byte and decides nothing.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { counted } from '../errors/counted.ts'
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
  const code = await exitCodeOf(
    command,
    () => runProgram(command, { env, onStart }),
    (text) => process.stderr.write(text),
  )
  process.stderr.write(notCaught(captured !== undefined))
  process.exit(code)
}

/** What this namespace refused, a line or nothing, by the kernel's own counts (RFC 4022 tcpAttemptFails, RFC 4113 udpNoPorts). */
function notCaught(hasUdp: boolean): string {
  const tcp = counts('/proc/net/snmp').get('Tcp AttemptFails') ?? 0
  const names = ['Udp NoPorts', 'Udp6NoPorts'] as const
  const all = new Map([...counts('/proc/net/snmp'), ...counts('/proc/net/snmp6')])
  const udp = hasUdp ? names.reduce((sum, name) => sum + (all.get(name) ?? 0), 0) : 0
  const what = [...(tcp === 0 ? [] : [counted(tcp, 'connection')]), ...(udp === 0 ? [] : [counted(udp, 'datagram')])]
  if (what.length === 0) return ''
  const were = tcp + udp === 1 ? 'was' : 'were'
  return `egresslab: ${what.join(' and ')} ${were} refused here, to a port that is not caught; add it to \`--capture-ports\` [capture.not_caught]\n`
}

/** `Tcp AttemptFails` of the two lines for each protocol in snmp, `Udp6NoPorts` of the lines of snmp6. */
function counts(file: string): Map<string, number> {
  const lines = readIfThere(file).trimEnd().split('\n')
  const pairs = lines.flatMap((line, at): (readonly [string, number])[] => {
    const [, protocol = '', names = ''] = /^(\w+): ([A-Za-z].*)$/.exec(line) ?? []
    if (protocol === '') {
      const [name = '', value] = line.split(/\s+/)
      return [[name, Number(value)]]
    }
    const values = (lines[at + 1] ?? '').split(' ').slice(1)
    return names.split(' ').map((name, column) => [`${protocol} ${name}`, Number(values[column])])
  })
  return new Map(pairs)
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
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
