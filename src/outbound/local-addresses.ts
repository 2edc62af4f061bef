// Checks that the addresses of the configuration exist on this machine: binds every stand-in once before anything
// listens, and tries every listener's port. Reports all problems at once; changes nothing on the machine.

import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Issue } from '../errors/issue.ts'
import { errnoOf } from '../errors/thrown.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { equalIp, type Ip, parseIp } from '../net/ip.ts'
import type { Engine, SocketBinding } from '../transport/engine.ts'
import { bindingProblem, failedIn } from './errno.ts'

const CONCURRENCY = 64

/** Binds each address once, on a free port. One issue per address that cannot be bound, in the order given. */
export async function checkLocalAddresses(addresses: readonly Ip[]): Promise<Issue[]> {
  const distinct = [...new Map(addresses.map((address) => [address.text, address])).values()]
  const issues: Issue[] = []
  for (let at = 0; at < distinct.length; at += CONCURRENCY) {
    const found = await Promise.all(distinct.slice(at, at + CONCURRENCY).map(checkAddress))
    issues.push(...found.filter((issue) => issue !== undefined))
  }
  return issues
}

/** Binds the address once, with a UDP socket, as the lab would. */
export async function checkBinding(address: Ip, binding: SocketBinding, engine: Engine): Promise<Issue | undefined> {
  try {
    const socket = await engine.bindDatagrams({ ip: address, port: 0 }, binding)
    socket.close()
    return undefined
  } catch (thrown) {
    const code = errnoOf(thrown)
    if (failedIn(thrown) !== 'setsockopt') return notBindable(address, code || 'unknown error')
    const message = `\`${address.text}\` cannot be bound as configured: ${bindingProblem(code, binding)}`
    return error('address.not_bindable', message)
  }
}

/** Listens for a moment. Undefined when the port is free on that address. */
export async function checkPortFree(address: Ip, port: number): Promise<Issue | undefined> {
  const code = await tryListening(address, port)
  if (code === undefined) return undefined
  const endpoint = formatEndpoint({ ip: address, port })
  if (code === 'EADDRINUSE') {
    const hint = 'stop it, choose another port, or start a lab beside another with `start --parallel`'
    return error('listen.port_taken', `\`${endpoint}\` is taken by another process`, hint)
  }
  if (code === 'EACCES') {
    const hint = 'choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE (docs/services.md)'
    return error('listen.port_forbidden', `\`${endpoint}\` needs privileges this process does not have`, hint)
  }
  return (await checkAddress(address)) ?? error('listen.failed', `\`${endpoint}\` cannot be listened on (${code})`)
}

/** True when the address belongs to one of this machine's interfaces now. A link-local address matches with any zone.
 *   */
export function isInterfaceAddress(address: Ip): boolean {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some((found) => {
      const parsed = parseIp(found.address.replace(/%.*$/, ''))
      return parsed !== undefined && equalIp(parsed, address)
    })
}

async function checkAddress(address: Ip): Promise<Issue | undefined> {
  const code = await tryListening(address, 0)
  return code === undefined ? undefined : notBindable(address, code)
}

function notBindable(address: Ip, code: string): Issue {
  if (code !== 'EADDRNOTAVAIL') {
    return error('address.not_bindable', `\`${address.text}\` cannot be bound on this machine (${code})`)
  }
  return error(
    'address.not_bindable',
    `\`${address.text}\` is not an address of this machine`,
    `Add it with \`egresslab addresses up\`, or use a stand-in in 127.0.0.0/8${address.family === 6 ? ' or `::1`' : ''}.`,
  )
}

/** The error code, or `undefined` when it worked. */
function tryListening(address: Ip, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const server = createServer()
  server.once('error', (thrown) => resolve(errnoOf(thrown) || 'unknown error'))
  server.listen({ host: address.text, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  return promise
}

function error(code: string, message: string, hint?: string): Issue {
  return { severity: 'error', code, message, ...(hint === undefined ? {} : { hint }) }
}
