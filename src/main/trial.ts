// The trial before anything listens: every stand-in is bound once and every port looked at, and all that does not work is
// said at once (LC-03).

import { neededAddresses } from '../addresses/needed.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { Ip } from '../net/ip.ts'
import { checkLocalAddresses, checkPortFree } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { configuredServices } from './own-endpoints.ts'

/** Throws an InputError naming every address that cannot be bound and every port that is taken. */
export async function checkAddressesAndPorts(config: LabConfig, account: Account): Promise<void> {
  const ports = configuredServices(config).filter(({ port }) => port !== 0)
  const taken = Promise.all(ports.map(({ ip, port }) => checkPortFree(ip, port)))
  refuseAny(config, [...(await checkLocalAddresses(everyAddress(config, account))), ...(await taken)])
}

/** The same without the ports, for a configuration that is to replace one in force. */
export async function checkAddresses(config: LabConfig, account: Account): Promise<void> {
  refuseAny(config, await checkLocalAddresses(everyAddress(config, account)))
}

function refuseAny({ file }: LabConfig, found: readonly (Issue | undefined)[]): void {
  const issues = found.filter((issue) => issue !== undefined)
  if (issues.length > 0) throw new InputError(issues.map((issue) => ({ ...issue, file })))
}

function everyAddress(config: LabConfig, account: Account): Ip[] {
  return neededAddresses(config, account).flatMap(({ addresses }) => addresses)
}
