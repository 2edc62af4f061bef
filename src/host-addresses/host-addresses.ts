// Addresses of this machine, put together for verbs: the configuration says which, a trial bind whether they are here, and the
// system's own programs add and remove them.

import type { LabConfig } from '../config/lab-config.ts'
import { type OwnAddresses, ownPrefixOf, readOwnAddresses } from '../config/own-addresses.ts'
import { readConfig, unexpectedNotice } from '../decider/read-config.ts'
import { type NeededAddresses, neededAddresses, wantedPrefixes, wholeRange } from '../lab/needed-addresses.ts'
import { cidr, parseCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { checkLocalAddresses } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { createStore } from '../store/store.ts'
import { changesToTakeBack, makeChanges, runCommand, takeBackChanges } from './change-machine.ts'
import { openChangeRecord } from './change-record.ts'
import { runInOwnNetwork } from './own-network.ts'
import { changesFor, type SystemChanges, showCommand } from './system-commands.ts'

/** Reads the configuration. Throws an InputError. */
export function openHostAddresses(configFile: string): HostAddresses {
  const { config } = readConfig(configFile)
  const account = accountOf(config)
  const system = process.platform
  const machine = () => ({ system, own: readOwnAddresses(), run: runCommand })
  const changes = async ({ shared }: UpOptions, own: OwnAddresses): Promise<SystemChanges> => {
    const missing = await missingAddresses(config, account)
    return changesFor(wantedPrefixes(config, { shared, missing }), own, system)
  }
  return {
    isRoot: process.geteuid?.() === 0,
    check: () => check(config, account),
    planUp: async (options) => {
      const found = await changes(options, readOwnAddresses())
      return { ...found, changes: found.changes.map(({ what, add }) => ({ what, command: showCommand(add) })) }
    },
    up: async (options, say) => {
      const { changes: wanted } = await changes(options, readOwnAddresses())
      await makeChanges(wanted, machine(), openChangeRecord(options.state), say)
    },
    planDown: (state) => changesToTakeBack(machine(), openChangeRecord(state)).map(({ remove }) => showCommand(remove)),
    down: (state, say) => takeBackChanges(machine(), openChangeRecord(state), say),
    shell: (command, { shared }) => runInOwnNetwork(wantedPrefixes(config, { shared, missing: [] }), command),
  }
}

function accountOf(config: LabConfig): Account {
  const store = createStore({ ...config, rules: [] }, { onNotice: unexpectedNotice })
  const { account } = store.current()
  store.close()
  return account
}

async function missingAddresses(config: LabConfig, account: Account) {
  const all = neededAddresses(config, account).flatMap(({ addresses }) => addresses)
  const tried = await Promise.all(all.map(async (address) => (await checkLocalAddresses([address])).length > 0))
  return all.filter((_, at) => tried[at])
}

async function check(config: LabConfig, account: Account): Promise<readonly AddressRow[]> {
  const own = readOwnAddresses()
  const needed = neededAddresses(config, account)
  const rows = [
    ...needed.map((item) => rowOf(item, true, own)),
    ...publicOnes(config, needed).map((item) => rowOf(item, false, own)),
  ]
  return Promise.all(rows)
}

/** Dedicated addresses that have stand-ins. */
function publicOnes({ dedicatedIps }: LabConfig, needed: readonly NeededAddresses[]): NeededAddresses[] {
  const bound = new Set(needed.map(({ binds }) => binds))
  return dedicatedIps
    .flatMap(({ colo, ipv4, ipv6 }) => [
      ...(ipv4 === undefined ? [] : [oneAddress(ipv4.address, colo)]),
      ...(ipv6 === undefined ? [] : [wholeRange(ipv6.range, colo)]),
    ])
    .filter(({ binds }) => !bound.has(binds))
}

function oneAddress(address: Ip, where: string): NeededAddresses {
  return { use: 'dedicated', binds: address.text, addresses: [address], public: address.text, where }
}

async function rowOf(item: NeededAddresses, needed: boolean, own: OwnAddresses): Promise<AddressRow> {
  const { addresses, ...said } = item
  const issues = await checkLocalAddresses(addresses)
  const [first] = issues
  const more = issues.length > 1 && item.use === 'shared' ? ` (and ${issues.length - 1} more)` : ''
  return {
    ...said,
    count: addresses.length,
    needed,
    bindable: first === undefined,
    by: first === undefined ? byOf(item, own) : null,
    problem: first === undefined ? null : `${first.message}${more}`,
  }
}

function byOf({ binds, addresses: [address] }: NeededAddresses, own: OwnAddresses): string | null {
  const prefix = parseCidr(binds) ?? (address === undefined ? undefined : cidr(address.text))
  const found = prefix === undefined ? undefined : ownPrefixOf(own, prefix)
  if (found === undefined) return null
  if (found.by === 'address') return `address of ${found.interface}`
  return `local route ${found.prefix.text}`
}

/** An address, a prefix, or several of one purpose. */
export interface AddressRow {
  readonly use: 'dedicated' | 'shared' | 'origin'
  /** what the world is told */
  readonly public: string
  /** code of the colo, or host name of the origin; '' for shared egress */
  readonly where: string
  /** what is bound: an address, a prefix, or the first and the last of several */
  readonly binds: string
  /** addresses that were tried */
  readonly count: number
  /** without it the lab does not start */
  readonly needed: boolean
  readonly bindable: boolean
  /** by which interface or route this machine has it; null where it does not */
  readonly by: string | null
  readonly problem: string | null
}

export interface MachineChanges {
  /** what is added, and the command for it */
  readonly changes: readonly { readonly what: string; readonly command: string }[]
  /** what this machine cannot have, with the reason */
  readonly impossible: readonly { readonly prefix: string; readonly why: string }[]
}

export interface UpOptions {
  /** shared egress, too */
  readonly shared: boolean
}

export interface HostAddresses {
  /** Tries every address once: what the lab binds, then public dedicated addresses that have stand-ins. */
  readonly check: () => Promise<readonly AddressRow[]>
  /** Is this process allowed to change the machine? */
  readonly isRoot: boolean
  readonly planUp: (options: UpOptions) => Promise<MachineChanges>
  /** Adds what is missing and remembers it in the state folder; `say` hears each command before it runs. Throws an InputError. */
  readonly up: (options: UpOptions & { readonly state: string }, say: (command: string) => void) => Promise<void>
  /** Commands that take back what `up` added, as far as it is still there. Throws an InputError. */
  readonly planDown: (state: string) => readonly string[]
  readonly down: (state: string, say: (command: string) => void) => Promise<void>
  /** Runs a command (without one, the user's shell) in a network of its own that has the addresses; answers its exit code.
   *  Throws an InputError where there is no such network to be had. */
  readonly shell: (command: readonly string[], options: UpOptions) => Promise<number>
}
