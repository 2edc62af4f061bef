// Commands that work with and without a running lab: they ask the lab if there is one, else they read the configuration and
// the state, and say so on standard error.

import type { Decider } from '../decider/decider.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError } from '../errors/issue.ts'
import type { LabAddressOptions, LabClient } from '../lab/lab-client.ts'
import { formatTarget } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { ip } from '../net/ip.ts'
import { connectLab, openDecider } from './lazy-imports.ts'
import type { VerbContext } from './verb.ts'

/** Throws an InputError when a lab was named with `--api` and does not answer, or answers and refuses. */
export async function askLabOrDecider<T>(
  { io }: VerbContext,
  options: LabAddressOptions,
  { ask, look }: { readonly ask: (lab: LabClient) => Promise<T>; readonly look: (decider: Decider) => T },
): Promise<T> {
  let lab: LabClient
  try {
    lab = await connectLab(options)
  } catch (thrown) {
    const nobody = thrown instanceof InputError && thrown.issues.some(({ code }) => code === 'lab.not_running')
    if (!nobody || options.api !== undefined) throw thrown
    const decider = await openDecider({ configFile: options.config, state: options.state })
    const found = look(decider)
    decider.close()
    io.stderr.write('no lab is running; showing what the next start will use\n')
    return found
  }
  return ask(lab)
}

/** The same destination by name, with the family the connection would have. */
export interface Meant {
  readonly destination: string
  readonly family: '4' | '6'
  /** for people: what the placeholder stands for */
  readonly note: string
}

/** The destination behind a placeholder of the running lab. Throws a GatewayError if no lab is running or the placeholder is
 *  not in use; an InputError if the lab does not answer. */
export async function behindPlaceholder(options: LabAddressOptions, destination: string): Promise<Meant> {
  const [, scheme = '', authority = destination] = /^(?:([a-z][a-z0-9+.-]*):\/\/)([^/?#]*)/i.exec(destination) ?? []
  const target = parseAuthority(authority, scheme.toLowerCase() === 'http' ? 80 : 443)
  const address = target?.kind === 'ip' ? target.ip.text : ''
  const known = await placeholdersOf(options, address)
  const found = known.find(({ placeholder }) => placeholder === address)
  if (found === undefined || target === undefined)
    throw unknown(address, 'the running lab has not given it to any name')
  return {
    destination: formatTarget({ kind: 'name', name: found.name, port: target.port }),
    family: ip(found.address).family === 4 ? '4' : '6',
    note: `on the running lab ${address} stands for ${found.name} at ${found.address}`,
  }
}

interface Known {
  readonly placeholder: string
  readonly name: string
  readonly address: string
}

async function placeholdersOf(options: LabAddressOptions, address: string): Promise<readonly Known[]> {
  try {
    const lab = await connectLab(options)
    return (await lab.ask('GET', '/lab/v1/dns/placeholders')) as readonly Known[]
  } catch (thrown) {
    const nobody = thrown instanceof InputError && thrown.issues.some(({ code }) => code === 'lab.not_running')
    if (!nobody) throw thrown
    throw unknown(address, 'no lab is running that could resolve it')
  }
}

function unknown(address: string, why: string): GatewayError {
  const message = `\`${address}\` is in the placeholder range of Gateway DNS, and ${why}; use the host name instead`
  return new GatewayError('name.unknown_placeholder', message)
}
