// Lists that make sense with a lab running and without: the running lab is asked where there is one; else configuration and
// state tell what a start would find, and standard error says that this is what was done.

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
    io.stderr.write('no lab is running; this is what the next start finds\n')
    return found
  }
  return ask(lab)
}

/** The same destination by name, with the family the connection would have. */
export interface Meant {
  readonly destination: string
  readonly family: '4' | '6'
  /** for people: what was found out */
  readonly note: string
}

/** Throws a GatewayError that says so where no lab runs, or where it has given the address to nobody; an InputError where a lab runs and
 *  does not answer. */
export async function behindPlaceholder(options: LabAddressOptions, destination: string): Promise<Meant> {
  const [, scheme = '', authority = destination] = /^(?:([a-z][a-z0-9+.-]*):\/\/)([^/?#]*)/i.exec(destination) ?? []
  const target = parseAuthority(authority, scheme.toLowerCase() === 'http' ? 80 : 443)
  const address = target?.kind === 'ip' ? target.ip.text : ''
  const known = await placeholdersOf(options, address)
  const found = known.find(({ placeholder }) => placeholder === address)
  if (found === undefined || target === undefined) throw unknown(address, 'the running lab has given it to no name')
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
    throw unknown(address, 'no lab is running that could say what it stands for')
  }
}

function unknown(address: string, why: string): GatewayError {
  const message = `\`${address}\` is in the range of placeholders of Gateway DNS, and ${why}; name the host instead`
  return new GatewayError('name.unknown_placeholder', message)
}
