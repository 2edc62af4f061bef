// The protocols that the soak's traffic uses, through Node's own client and the `socks` package: absolute-form
// requests, CONNECT tunnels, SOCKS5 tunnels; and a SOCKS5 association for datagrams.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type IncomingMessage, request as sendRequest } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { SocksClient } from 'socks'
import type { Client } from './state.ts'

export const HOST = '127.0.0.1'

/** No operation of the soak takes longer, unless it says so. */
const TIMEOUT_MS = 30_000

export interface Answer {
  readonly status: number
  readonly body: string
}

function userNameOf({ email, network }: Client): string {
  return network === undefined ? email : `${email};vnet=${network}`
}

function basic(client: Client, password = client.password): string {
  return `Basic ${Buffer.from(`${userNameOf(client)}:${password}`).toString('base64')}`
}

interface Ask {
  readonly method?: string
  readonly body?: Buffer
  readonly password?: string
}

/** An absolute-form request; resolves with the answer's head, its body unread. Rejects when the connection fails. */
export async function openForward(port: number, who: Client, url: string, ask: Ask = {}): Promise<IncomingMessage> {
  const request = sendRequest({
    host: HOST,
    port,
    agent: false,
    method: ask.method ?? 'GET',
    path: url,
    headers: { host: new URL(url).host, 'proxy-authorization': basic(who, ask.password) },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  request.end(ask.body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

/** The whole answer. */
export async function forward(port: number, who: Client, url: string, ask: Ask = {}): Promise<Answer> {
  const response = await openForward(port, who, url, ask)
  return { status: response.statusCode ?? 0, body: await text(response) }
}

/** A CONNECT tunnel. Rejects with the status where it is refused. */
export async function openConnect(port: number, who: Client, authority: string): Promise<Socket> {
  const request = sendRequest({
    host: HOST,
    port,
    agent: false,
    method: 'CONNECT',
    path: authority,
    headers: { 'proxy-authorization': basic(who) },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).end()
  const [response, socket] = (await once(request, 'connect')) as [IncomingMessage, Socket]
  if (response.statusCode === 200) return socket
  socket.destroy()
  throw new Error(`CONNECT ${authority} was answered ${response.statusCode}`)
}

/** A SOCKS5 tunnel. */
export async function openSocks(port: number, who: Client, host: string): Promise<Socket> {
  const { socket } = await SocksClient.createConnection({
    command: 'connect',
    proxy: { host: HOST, port, type: 5, userId: userNameOf(who), password: who.password },
    destination: { host, port: 80 },
    timeout: TIMEOUT_MS,
  })
  return socket
}

/** One request in a tunnel, half-closed after it where asked for; the body. The tunnel ends with it. */
export async function askThrough(socket: Socket, host: string, path: string, halfClose: boolean): Promise<string> {
  const head = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  if (halfClose) socket.end(head)
  else socket.write(head)
  try {
    const answer = await text(socket)
    return answer.slice(answer.indexOf('\r\n\r\n') + 4)
  } finally {
    socket.destroy()
  }
}

/** One datagram to UDP port 7 of a host through an association; what came back. */
export async function askByDatagram(port: number, who: Client, host: string): Promise<string> {
  const { socket: control, remoteHost } = await new Promise<{ socket: Socket; remoteHost: { port: number } }>(
    (resolve, reject) => {
      const client = new SocksClient({
        command: 'associate',
        proxy: { host: HOST, port, type: 5, userId: userNameOf(who), password: who.password },
        destination: { host: '0.0.0.0', port: 0 },
        timeout: TIMEOUT_MS,
      })
      client.once('error', reject)
      client.once('established', ({ socket, remoteHost }) =>
        remoteHost === undefined ? reject(new Error('no relay was named')) : resolve({ socket, remoteHost }),
      )
      client.connect()
    },
  )
  control.on('error', () => undefined)
  const socket = createSocket('udp4')
  try {
    const header = Buffer.from([0, 0, 0, 3, host.length, ...Buffer.from(host), 0, 7])
    socket.send(Buffer.concat([header, Buffer.from('soak')]), remoteHost.port, HOST)
    const [datagram] = (await once(socket, 'message', { signal: AbortSignal.timeout(TIMEOUT_MS) })) as [Buffer]
    return datagram.subarray(10).toString()
  } finally {
    socket.close()
    control.destroy()
  }
}
