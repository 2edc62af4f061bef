// Runs a program that knows nothing of proxies: in a network namespace where every address is local, so that whatever it connects
// to arrives at listeners of ours, whose connections' local address is the destination. They go through the lab by SOCKS, queries to
// port 53 to Gateway DNS. No way leads out of the namespace: what is not caught is refused there.

import type { ChildProcess } from 'node:child_process'
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SocksClient, type SocksProxy } from 'socks'
import type { ProxyAccess } from '../decider/proxy-client.ts'
import { messageOf } from '../errors/thrown.ts'
import type { CapturedDatagram, FromInside, HostPort, ToInside } from './capture-inside.ts'
import { tryNamespace } from './host-addresses.ts'
import { runProgram } from './run-program.ts'

export interface CaptureOptions {
  readonly proxy: Omit<ProxyAccess, 'authority'>
  /** of Gateway DNS */
  readonly dns: HostPort
  /** TCP and UDP; 53 is always among them */
  readonly ports: readonly number[]
  readonly env: NodeJS.ProcessEnv
  /** gets what Gateway DNS answers the program, a message at a time */
  readonly onDnsReply: (reply: Buffer) => void
  /** gets what goes wrong, a line at a time */
  readonly warn: (line: string) => void
}

export const DNS_PORT = 53
const UNSHARE = ['--user', '--map-root-user', '--net', '--mount', '--', 'sh', '-c'] as const
/** How long a datagram's way back stays open without one. */
const IDLE_MS = 300_000
/** Datagrams held while an association is being made. */
const MAX_WAITING = 16

/** `$1` is the file that becomes /etc/resolv.conf. Services that resolve names outside for whoever asks over a Unix socket are hidden;
 *  the C library asks the name server then. */
const SET_UP = [
  'ip link set lo up && ip -4 route add local 0.0.0.0/0 dev lo || exit 1',
  'ip -6 route add local ::/0 dev lo 2>/dev/null',
  'at=$(readlink -f /etc/resolv.conf)',
  'for folder in /run/nscd /var/run/nscd /run/systemd/resolve /run/avahi-daemon; do',
  '  if [ -d "$folder" ]; then mount -t tmpfs tmpfs "$folder" || exit 1; fi',
  'done',
  'if [ -n "$at" ]; then',
  '  [ -e "$at" ] || : > "$at"',
  '  mount --bind "$1" "$at" || exit 1',
  'fi',
].join('\n')

/** Runs it to its end; answers its exit code as {@link runProgram} does. Throws an InputError where the system offers no such
 *  namespace. */
export async function runCaptured(command: readonly string[], options: CaptureOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-capture-'))
  const resolverFile = join(folder, 'resolv.conf')
  writeFileSync(resolverFile, 'nameserver 127.0.0.1\n')
  const capture = new Capture(options)
  try {
    await tryNamespace([...UNSHARE, SET_UP, 'sh', resolverFile])
    const inside = [process.execPath, fileURLToPath(new URL('./capture-inside.ts', import.meta.url))]
    const unshare = ['unshare', ...UNSHARE, `${SET_UP}\nshift\nexec "$@"`, 'sh', resolverFile, ...inside]
    return await runProgram(unshare, {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
      onStart: (child) => capture.begin(child, asYourself(command)),
    })
  } finally {
    capture.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The namespace is its creator's, who is root there. The program is who runs it, in a user namespace below, and may change nothing. */
function asYourself(command: readonly string[]): readonly string[] {
  const [user = 0, group = 0] = [process.geteuid?.(), process.getegid?.()]
  if (user === 0) return command
  return ['unshare', '--user', `--map-user=${user}`, `--map-group=${group}`, '--', ...command]
}

class Capture {
  readonly #options: CaptureOptions
  readonly #socks: SocksProxy
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  /** by the program's own socket: what it sends to several places leaves by one association */
  readonly #ways = new Map<string, DatagramWay>()
  #inside: ChildProcess | undefined

  constructor(options: CaptureOptions) {
    const { proxy, credentials } = options.proxy
    const login = credentials && { userId: credentials.username, password: credentials.password }
    this.#options = options
    this.#socks = { host: proxy.host, port: proxy.port, type: 5, ...login }
  }

  begin(inside: ChildProcess, command: readonly string[]): void {
    const { ports, env, warn } = this.#options
    this.#inside = inside
    inside.on('message', (said: FromInside, server) => {
      if (said.kind === 'datagram') this.#datagram(said)
      else if (said.kind === 'listener') this.#listen(server as Server, said.port)
      else if (said.whyNoUdp !== undefined) {
        warn(`UDP is refused, and names are resolved over TCP alone: ${said.whyNoUdp}`)
      }
    })
    this.#say({ kind: 'start', ports: [...new Set([DNS_PORT, ...ports])], command, env })
  }

  close(): void {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    for (const way of this.#ways.values()) way.close()
  }

  #say(message: ToInside): void {
    if (this.#inside?.connected) this.#inside.send(message)
  }

  #listen(server: Server, port: number): void {
    Object.assign(server, { allowHalfOpen: true, pauseOnConnect: true })
    this.#servers.push(server)
    server.on('connection', (client) => {
      const host = (client.localAddress ?? '').replace(/^::ffff:/, '')
      if (port === DNS_PORT) void this.#join(client, this.#toDns(), messagesOf(this.#options.onDnsReply))
      else void this.#join(client, this.#toDestination({ host, port }))
    })
  }

  async #toDns(): Promise<Socket> {
    const socket = connect({ ...this.#options.dns, allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }

  async #toDestination(destination: HostPort): Promise<Socket> {
    const { host, port } = this.#socks
    const existing_socket = connect({ host, port, allowHalfOpen: true })
    await once(existing_socket, 'connect')
    const { socket } = await SocksClient.createConnection({
      proxy: this.#socks,
      command: 'connect',
      destination,
      existing_socket,
      timeout: CONNECT_MS,
    })
    return socket as Socket
  }

  /** A destination that cannot be reached is a reset for the program; the session's record has the reason. */
  async #join(client: Socket, opening: Promise<Socket>, onAnswer?: (chunk: Buffer) => void): Promise<void> {
    this.#keep(client)
    client.on('error', () => client.destroy())
    try {
      const upstream = await opening
      this.#keep(upstream)
      upstream.on('error', () => client.resetAndDestroy())
      client.on('error', () => upstream.resetAndDestroy())
      if (client.destroyed) upstream.destroy()
      if (onAnswer !== undefined) upstream.on('data', onAnswer)
      client.pipe(upstream)
      upstream.pipe(client)
    } catch {
      client.resetAndDestroy()
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #datagram({ from, to, payload }: CapturedDatagram): void {
    const isQuery = to.port === DNS_PORT
    const key = `${isQuery} ${from.host} ${from.port}${isQuery ? ` ${to.host}` : ''}`
    let way = this.#ways.get(key)
    if (way === undefined) {
      const answer = (sender: HostPort, bytes: Buffer) => {
        if (isQuery) this.#options.onDnsReply(bytes)
        this.#say({ kind: 'datagram', from: isQuery ? to : sender, to: from, payload: bytes })
      }
      const opening = isQuery ? openDns(this.#options.dns) : openAssociation(this.#socks)
      way = new DatagramWay(opening, answer, () => this.#ways.delete(key), this.#options.warn)
      this.#ways.set(key, way)
    }
    way.send(to, Buffer.from(payload))
  }
}

/** Cuts a stream into the messages in it, each behind its length (RFC 1035 section 4.2.2). */
function messagesOf(onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let unread: Buffer = Buffer.alloc(0)
  return (chunk) => {
    unread = Buffer.concat([unread, chunk])
    while (unread.length >= 2 && unread.length >= 2 + unread.readUInt16BE(0)) {
      const end = 2 + unread.readUInt16BE(0)
      onMessage(unread.subarray(2, end))
      unread = unread.subarray(end)
    }
  }
}

/** as long as the lab takes to find out */
const CONNECT_MS = 60_000

interface OpenWay {
  readonly socket: DatagramSocket
  readonly pack: (to: HostPort, payload: Buffer) => Buffer
  readonly unpack: (datagram: Buffer) => { readonly from: HostPort; readonly payload: Buffer }
  readonly close: () => void
}

/** What one socket of the program sends and gets, until it has been silent for {@link IDLE_MS}. */
class DatagramWay {
  readonly #forget: () => void
  readonly #idle: NodeJS.Timeout
  #waiting: (readonly [to: HostPort, payload: Buffer])[] | undefined = []
  #open: OpenWay | undefined
  #closed = false

  constructor(
    opening: Promise<OpenWay>,
    answer: (from: HostPort, payload: Buffer) => void,
    forget: () => void,
    warn: (line: string) => void,
  ) {
    this.#forget = forget
    this.#idle = setTimeout(() => this.close(), IDLE_MS).unref()
    opening.then(
      (open) => {
        if (this.#closed) return open.close()
        this.#open = open
        open.socket.on('error', () => this.close()).once('close', () => this.close())
        open.socket.on('message', (datagram: Buffer) => {
          this.#idle.refresh()
          const { from, payload } = open.unpack(datagram)
          answer(from, payload)
        })
        const waiting = this.#waiting ?? []
        this.#waiting = undefined
        for (const [to, payload] of waiting) this.send(to, payload)
      },
      (thrown: unknown) => {
        warn(`the lab refuses UDP: ${messageOf(thrown)}`)
        this.close()
      },
    )
  }

  send(to: HostPort, payload: Buffer): void {
    this.#idle.refresh()
    if (this.#open !== undefined) this.#open.socket.send(this.#open.pack(to, payload), () => undefined)
    else if (this.#waiting !== undefined && this.#waiting.length < MAX_WAITING) this.#waiting.push([to, payload])
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#idle)
    this.#forget()
    this.#open?.close()
  }
}

async function openDns(dns: HostPort): Promise<OpenWay> {
  const socket = await connectedTo(dns)
  return {
    socket,
    pack: (_to, payload) => payload,
    unpack: (payload) => ({ from: dns, payload }),
    close: () => socket.close(),
  }
}

async function openAssociation(proxy: SocksProxy): Promise<OpenWay> {
  const client = new SocksClient({
    proxy,
    command: 'associate',
    destination: { host: '0.0.0.0', port: 0 },
    timeout: CONNECT_MS,
  })
  const established = once(client, 'established') as Promise<[{ socket: Socket; remoteHost: HostPort }]>
  client.connect()
  const [{ socket: control, remoteHost: relay }] = await established
  control.on('error', () => control.destroy())
  const socket = await connectedTo(relay)
  // the association is over when its control connection is
  control.resume().once('close', () => socket.close())
  return {
    socket,
    pack: (remoteHost, data) => SocksClient.createUDPFrame({ remoteHost, data }),
    unpack: (datagram) => {
      const { remoteHost, data } = SocksClient.parseUDPFrame(datagram)
      return { from: remoteHost, payload: data }
    },
    close: () => control.destroy(),
  }
}

async function connectedTo({ host, port }: HostPort): Promise<DatagramSocket> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.connect(port, host)
  await once(socket, 'connect')
  return socket
}
