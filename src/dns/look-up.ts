// One name's addresses of one family or of both, out of single DNS answers: how long the slower family is waited for, and what
// the failure is when there is no address.

import { setTimeout as delay } from 'node:timers/promises'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Answer, DnsClient } from './dns-client.ts'

/** Once one family has answered, the other has this long (RFC 8305 section 3, Resolution Delay). */
const RESOLUTION_DELAY_MS = 50

/** Throws GatewayError `name.*`, or `egress.no_matching_family` when the name has addresses of the other family only. */
export async function lookUpOne(
  dns: DnsClient,
  name: string,
  family: Family,
  signal: Cancellation,
): Promise<readonly Ip[]> {
  const answer = await unlessAborted(dns.query(name, family), signal)
  if (answer.kind === 'addresses') return answer.addresses
  if (answer.kind !== 'empty') throw failureOf(name, [answer])
  const message = `\`${name}\` has no IPv${family} address, and the connection is to use IPv${family} only`
  throw new GatewayError('egress.no_matching_family', message)
}

/** IPv6 before IPv4. Throws GatewayError `name.*`. */
export async function lookUpBoth(dns: DnsClient, name: string, signal: Cancellation): Promise<readonly Ip[]> {
  const six = Promise.resolve(dns.query(name, 6))
  const four = Promise.resolve(dns.query(name, 4))
  const first = await unlessAborted(Promise.race([six, four]), signal)
  const patience = first.kind === 'addresses' ? [delay(RESOLUTION_DELAY_MS, undefined)] : []
  const both = await unlessAborted(Promise.race([Promise.all([six, four]), ...patience]), signal)
  const answers = both ?? [first]
  const addresses = answers.flatMap((answer) => (answer.kind === 'addresses' ? answer.addresses : []))
  if (addresses.length === 0) throw failureOf(name, answers)
  return addresses
}

/** What could not be found out weighs more than what is known not to be there. */
function failureOf(name: string, answers: readonly Answer[]): GatewayError {
  const failed = answers.find((answer) => answer.kind === 'failed')
  if (failed !== undefined) return new GatewayError('name.failed', `\`${name}\` could not be resolved: ${failed.why}`)
  if (answers.some(({ kind }) => kind === 'timeout')) {
    return new GatewayError('name.timeout', `\`${name}\` could not be resolved: no name server answered in time`)
  }
  return answers.some(({ kind }) => kind === 'empty')
    ? new GatewayError('name.not_found', `\`${name}\` exists but has no address`)
    : new GatewayError('name.not_found', `there is no host \`${name}\``)
}

/** The value, unless the signal is aborted first: look-ups are shared, so one client going away cancels none. */
async function unlessAborted<Value>(value: Value | Promise<Value>, signal: Cancellation): Promise<Value> {
  if (!(value instanceof Promise)) return value
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(abortReason(signal))
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function abortReason(signal: Cancellation): GatewayError {
  if (signal.reason instanceof GatewayError) return signal.reason
  return new GatewayError('relay.client_reset', 'the client went away during name resolution', { cause: signal.reason })
}
