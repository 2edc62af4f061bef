// A name server that answers what a test tells it to, over UDP on loopback.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Answer, decode, encode } from 'dns-packet'
import { onTestFinished } from 'vitest'

export type Script = (question: { readonly name: string; readonly type: 'A' | 'AAAA' }) => Reply
/** Records, a response code, or no answer at all. */
export type Reply = readonly Answer[] | 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED' | 'silence' | 'garbage'

const RCODES = { NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5 } as const

export interface ScriptedDns {
  /** `127.0.0.1:port` */
  readonly address: string
  /** `A example.com`, in the order asked */
  readonly asked: string[]
}

/** Closed when the test ends. */
export async function startDns(script: Script): Promise<ScriptedDns> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (message, peer) => {
    const query = decode(message)
    const [question] = query.questions ?? []
    if (question === undefined || (question.type !== 'A' && question.type !== 'AAAA')) return
    const { name, type } = question
    asked.push(`${type} ${name}`)
    const reply = script({ name: name.toLowerCase(), type })
    answer(socket, { reply, query: message, port: peer.port, address: peer.address })
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  onTestFinished(() => {
    socket.close()
  })
  return { address: `127.0.0.1:${socket.address().port}`, asked }
}

function answer(
  socket: Socket,
  to: { readonly reply: Reply; readonly query: Buffer; readonly port: number; readonly address: string },
): void {
  const { reply } = to
  if (reply === 'silence') return
  const { id = 0, questions = [] } = decode(to.query)
  const rcode = typeof reply === 'string' && reply !== 'garbage' ? RCODES[reply] : 0
  const message =
    reply === 'garbage'
      ? Buffer.from('this is not DNS')
      : encode({
          type: 'response',
          id,
          // recursion desired and available, and the response code
          flags: 0x0180 | rcode,
          questions,
          answers: typeof reply === 'string' ? [] : [...reply],
        })
  socket.send(message, to.port, to.address)
}

export function a(name: string, data: string, ttl = 60): Answer {
  return { type: 'A', name, data, ttl }
}

export function aaaa(name: string, data: string, ttl = 60): Answer {
  return { type: 'AAAA', name, data, ttl }
}
