// The only place that interprets system error codes. Message text is never matched.

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { errnoOf } from '../errors/thrown.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { SocketBinding } from '../transport/engine.ts'

export interface DialledPair {
  readonly bind: Ip
  /** public egress address the bind address stands in for */
  readonly egress: Ip
  readonly dial: Endpoint
  /** public destination the dialled endpoint stands in for */
  readonly destination: Endpoint
  readonly binding?: SocketBinding
}

/** The local port cannot be used for this destination right now: held by another process, or in TIME_WAIT. Another port may do. */
export function isPortClash(thrown: unknown): boolean {
  const code = errnoOf(thrown)
  return code === 'EADDRINUSE' || (code === 'EADDRNOTAVAIL' && failedIn(thrown) !== 'bind')
}

/** A failed connect as a GatewayError: `dial.*` for the destination, `egress.*` and `guard.*` for this machine. */
export function dialError(cause: unknown, pair: DialledPair): GatewayError {
  const code = errnoOf(cause)
  const where = describeDestination(pair)
  const options = { cause, details: { errno: code, dial: formatEndpoint(pair.dial), bind: pair.bind.text } }
  if (failedIn(cause) === 'setsockopt') {
    const why = bindingProblem(code, pair.binding)
    return new GatewayError(
      'egress.address_missing',
      `egress address \`${pair.egress.text}\` cannot be used: ${why}`,
      options,
    )
  }
  switch (code) {
    case 'ECONNREFUSED':
      return new GatewayError('dial.refused', `${where} refused the connection`, options)
    case 'ECONNRESET':
    case 'ECONNABORTED':
    case 'EPIPE':
      return new GatewayError('dial.reset', `${where} reset the connection while it was being set up`, options)
    case 'ETIMEDOUT':
      return new GatewayError('dial.timeout', `${where} did not answer`, options)
    case 'ENETUNREACH':
      if (pair.binding?.freebind === true) return notHereYet(pair, options)
      return unreachable(pair, options)
    case 'EHOSTUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
      return unreachable(pair, options)
    case 'EACCES':
    case 'EPERM':
      return new GatewayError('dial.unreachable', `this system does not permit connections to ${where}`, options)
    case 'EADDRNOTAVAIL':
      if (failedIn(cause) === 'bind') return addressMissing(pair, options)
      return portsBusy(pair, options)
    case 'EADDRINUSE':
      return portsBusy(pair, options)
    case 'EINVAL':
      return cannotReach(pair, options)
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
      return new GatewayError(
        'guard.too_many_connections',
        'this machine has no file descriptors or buffers left for another connection',
        options,
      )
    default:
      return new GatewayError('dial.unreachable', `${where} cannot be reached (${code || 'unknown reason'})`, options)
  }
}

/** `198.51.100.7:443`, with its stand-in where it has one. */
export function describeDestination({ destination, dial }: Pick<DialledPair, 'destination' | 'dial'>): string {
  const shown = formatEndpoint(destination)
  const real = formatEndpoint(dial)
  return shown === real ? `\`${shown}\`` : `\`${shown}\` (really \`${real}\`)`
}

/** `bind` reports a missing address itself, `setsockopt` what a binding asks for in vain; everything else shows up in connect. */
export function failedIn(thrown: unknown): unknown {
  return (thrown as { syscall?: unknown } | null | undefined)?.syscall
}

/** Why the system refuses a binding, as a clause. */
export function bindingProblem(code: string, { device, transparent }: SocketBinding = {}): string {
  switch (code) {
    case 'ENODEV':
      return `this machine has no network device \`${device}\``
    case 'EPERM':
    case 'EACCES':
      return `${transparent === true ? '`transparent`' : `binding to the device \`${device}\``} needs CAP_NET_ADMIN, which this process does not have`
    case 'EOPNOTSUPP':
      return 'the engine `node` cannot do what its `bind` asks for'
    default:
      return `its \`bind\` is not possible on this machine (${code || 'unknown reason'})`
  }
}

type Options = ConstructorParameters<typeof GatewayError>[2]

function addressMissing(pair: DialledPair, options: Options): GatewayError {
  const standIn = pair.bind.text === pair.egress.text ? 'it' : `its stand-in \`${pair.bind.text}\``
  return new GatewayError(
    'egress.address_missing',
    `egress address \`${pair.egress.text}\` cannot be used: this machine does not have ${standIn}`,
    options,
  )
}

function unreachable(pair: DialledPair, options: Options): GatewayError {
  const message = `${describeDestination(pair)} is unreachable from \`${pair.bind.text}\``
  return new GatewayError('dial.unreachable', message, options)
}

/** The system has one error for both. */
function notHereYet(pair: DialledPair, options: Options): GatewayError {
  const why = 'this machine does not have the address yet, or no route to there'
  const message = `no connection from \`${pair.bind.text}\` to ${describeDestination(pair)}: ${why}`
  return new GatewayError('egress.address_missing', message, options)
}

function portsBusy(pair: DialledPair, options: Options): GatewayError {
  return new GatewayError(
    'egress.ports_exhausted',
    `no usable local port on \`${pair.bind.text}\` for ${describeDestination(pair)}: those tried are in use by other processes`,
    options,
  )
}

/** connect reports EINVAL when the bound address can never reach the destination. */
function cannotReach(pair: DialledPair, options: Options): GatewayError {
  const why = isLoopback(pair.bind) ? 'a loopback stand-in cannot leave this host' : 'the address cannot reach it'
  return new GatewayError(
    'dial.unreachable',
    `no connection from \`${pair.bind.text}\` to ${describeDestination(pair)}: ${why}`,
    options,
  )
}

/** Whether an address is of 127.0.0.0/8 or ::1; IPv4-mapped addresses have to be unmapped before. */
export function isLoopback(ip: Ip): boolean {
  return ip.family === 4 ? (ip.words[0] ?? 0) >>> 24 === 127 : ip.text === '::1'
}

/** A destination that answered, even with a refusal, says more than one that did not, and both say more than what was
 *  wrong on our side of another attempt. */
const TELLING: readonly ConnectionErrorCode[] = [
  'egress.not_bound',
  'dial.refused',
  'dial.reset',
  'dial.timeout',
  'dial.unreachable',
  'egress.tunnel_leads_nowhere',
  'egress.exit_refused',
  'egress.exit_failed',
  'egress.ports_exhausted',
  'egress.address_missing',
  'egress.unroutable',
  'egress.no_matching_family',
]

/** The most informative error; the others are its cause, as an AggregateError. */
export function bestOf(errors: readonly GatewayError[]): GatewayError {
  const [best, ...others] = errors.toSorted((a, b) => rank(a) - rank(b))
  if (best === undefined) return new GatewayError('egress.unroutable', 'there is no address to connect to')
  if (others.length === 0) return best
  const also = others.map((other) => other.message).join('; ')
  return new GatewayError(best.code, `${best.message} (and: ${also})`, {
    cause: new AggregateError([best, ...others], 'every attempt failed'),
    details: best.details,
  })
}

function rank({ code }: GatewayError): number {
  const at = TELLING.indexOf(code)
  return at < 0 ? TELLING.length : at
}
