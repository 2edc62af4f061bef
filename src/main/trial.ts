// The trial before anything listens: every stand-in is bound once and every port looked at, and all that does not work is
// said at once (LC-03).

import type { LabConfig } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { Ip } from '../net/ip.ts'
import { checkLocalAddresses, checkPortFree } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { surroundingsOf } from '../policy/surroundings.ts'
import { configuredEndpoints } from './own-endpoints.ts'

/** Throws an InputError naming every address that cannot be bound and every port that is taken. */
export async function checkAddressesAndPorts(config: LabConfig, account: Account): Promise<void> {
  const ports = configuredEndpoints(config).filter(({ port }) => port !== 0)
  const taken = Promise.all(ports.map(({ ip, port }) => checkPortFree(ip, port)))
  refuseAny(config, [...(await checkLocalAddresses(standInsOf(config, account))), ...(await taken)])
}

/** The same without the ports, for a configuration that is to replace one in force. */
export async function checkAddresses(config: LabConfig, account: Account): Promise<void> {
  refuseAny(config, await checkLocalAddresses(standInsOf(config, account)))
}

function refuseAny({ file }: LabConfig, found: readonly (Issue | undefined)[]): void {
  const issues = found.filter((issue) => issue !== undefined)
  if (issues.length > 0) throw new InputError(issues.map((issue) => ({ ...issue, file })))
}

/** What will be bound as a source, and what the test origins will listen on. */
function standInsOf(config: LabConfig, account: Account): Ip[] {
  const { shared } = surroundingsOf(account)
  const origins = new Set(config.origins.map(({ name }) => name))
  const dedicated = config.dedicatedIps.flatMap(({ ipv4, ipv6 }) => [
    ...bound(ipv4?.address, ipv4?.standIns),
    ...bound(undefined, ipv6?.standIns),
  ])
  const sharedOfColos = [...account.colos.keys()].flatMap((code) =>
    ([4, 6] as const).flatMap((family) => shared.egressOf(code, family).standIns),
  )
  const listening = config.destinations
    .filter(({ name }) => name !== undefined && origins.has(name))
    .flatMap(({ addresses }) => addresses.map(({ standIn }) => standIn))
  return [...dedicated, ...sharedOfColos, ...listening]
}

/** An address without stand-ins is bound itself. */
function bound(address: Ip | undefined, standIns: readonly Ip[] = []): readonly Ip[] {
  return standIns.length === 0 && address !== undefined ? [address] : standIns
}
