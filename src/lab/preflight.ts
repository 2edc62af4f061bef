// The preflight before anything listens: binds every stand-in once, checks every port, and reports all problems together
// (LC-03).

import type { ConfiguredExit, LabConfig } from '../config/lab-config.ts'
import { configuredServices } from '../decider/configured-sockets.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { ip } from '../net/ip.ts'
import { checkBinding, checkLocalAddresses, checkPortFree } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import type { Engine } from '../transport/engine.ts'
import { type NeededAddresses, neededAddresses } from './needed-addresses.ts'

/** Throws an InputError naming every address that cannot be bound and every port that is taken. */
export async function checkAddressesAndPorts(config: LabConfig, account: Account, engine: Engine): Promise<void> {
  const ports = configuredServices(config).filter(({ port }) => port !== 0)
  const taken = Promise.all(ports.map(({ ip, port }) => checkPortFree(ip, port)))
  refuseAny(config, [...(await checkNeeded(config, neededAddresses(config, account), engine)), ...(await taken)])
}

/** The same without the ports, for a configuration that is to replace one in force. */
export async function checkAddresses(config: LabConfig, account: Account, engine: Engine): Promise<void> {
  refuseAny(config, await checkNeeded(config, neededAddresses(config, account), engine))
}

/** Binds each address once, as the lab would with this engine, and tries the devices of exits. Issues as of `checkLocalAddresses`. */
async function checkNeeded(
  { exits, tunnels }: LabConfig,
  needed: readonly NeededAddresses[],
  engine: Engine,
): Promise<(Issue | undefined)[]> {
  const { true: bound = [], false: plain = [] } = Object.groupBy(needed, ({ binding }) =>
    binding === undefined ? 'false' : 'true',
  )
  const upstreams = tunnels.flatMap(({ upstream }) => upstream ?? [])
  return [
    ...(await checkLocalAddresses(plain.flatMap(({ addresses }) => addresses))),
    ...(await Promise.all(bound.map((item) => checkBound(item, engine)))).flat(),
    ...(await Promise.all([...exits, ...upstreams].map((exit) => checkExitDevice(exit, engine)))),
  ]
}

function refuseAny({ file }: LabConfig, found: readonly (Issue | undefined)[]): void {
  const issues = found.filter((issue) => issue !== undefined)
  if (issues.length > 0) throw new InputError(issues.map((issue) => ({ ...issue, file })))
}

/** Binds each address once, as configured. */
export async function checkBound({ addresses, binding }: NeededAddresses, engine: Engine): Promise<Issue[]> {
  if (binding === undefined) return checkLocalAddresses(addresses)
  const issues = await Promise.all(addresses.map((address) => checkBinding(address, binding, engine)))
  return issues.filter((issue) => issue !== undefined)
}

async function checkExitDevice({ at, device, text }: ConfiguredExit, engine: Engine): Promise<Issue | undefined> {
  if (device === undefined) return undefined
  const anywhere = ip(at.ip.family === 4 ? '0.0.0.0' : '::')
  const issue = await checkBinding(anywhere, { device }, engine)
  return issue === undefined ? undefined : { ...issue, message: `the exit ${text}: ${issue.message}` }
}
