// The addresses of this machine that a configuration needs: binds each to see whether it is here, and adds and removes them
// with the system's own programs.

import type { LabConfig } from '../config/lab-config.ts'
import { type OwnAddresses, ownPrefixOf, readOwnAddresses } from '../config/stand-ins.ts'
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

/** The addresses a configuration needs, on this machine. */
export class HostAddresses {
  readonly #config: LabConfig
  readonly #account: Account

  /** Reads the configuration. Throws an InputError. */
  constructor(configFile: string) {
    this.#config = readConfig(configFile).config
    this.#account = accountOf(this.#config)
  }

  /** Whether this process may change the machine's addresses. */
  get isRoot(): boolean {
    return process.geteuid?.() === 0
  }

  /** Tries to bind every address once: first those the lab binds, then public dedicated addresses that have stand-ins. */
  check(): Promise<readonly AddressRow[]> {
    return check(this.#config, this.#account)
  }

  /** What `up` would add, without adding it. */
  async planUp(options: UpOptions): Promise<MachineChanges> {
    const found = await this.#changes(options)
    return { ...found, changes: found.changes.map(({ what, add }) => ({ what, command: showCommand(add) })) }
  }

  /** Adds what is missing and records it in the state folder; `onCommand` gets each command before it runs. Throws an
   *  InputError. */
  async up(options: UpOptions & { readonly state: string }, onCommand: (command: string) => void): Promise<void> {
    const { changes } = await this.#changes(options)
    await makeChanges(changes, machine(), openChangeRecord(options.state), onCommand)
  }

  /** The commands that remove what `up` added, as far as it is still there. Throws an InputError. */
  planDown(state: string): readonly string[] {
    return changesToTakeBack(machine(), openChangeRecord(state)).map(({ remove }) => showCommand(remove))
  }

  /** Removes what `up` added; `onCommand` gets each command before it runs. Throws an InputError. */
  async down(state: string, onCommand: (command: string) => void): Promise<void> {
    await takeBackChanges(machine(), openChangeRecord(state), onCommand)
  }

  /** Runs a command (the user's shell, if there is none) in a network namespace that has the addresses; resolves to its
   *  exit code. Throws an InputError where the system offers no such namespace. */
  shell(command: readonly string[], { shared }: UpOptions): Promise<number> {
    return runInOwnNetwork(wantedPrefixes(this.#config, { shared, missing: [] }), command)
  }

  async #changes({ shared }: UpOptions): Promise<SystemChanges> {
    const missing = await missingAddresses(this.#config, this.#account)
    return changesFor(wantedPrefixes(this.#config, { shared, missing }), readOwnAddresses(), process.platform)
  }
}

function machine() {
  return { system: process.platform, own: readOwnAddresses(), run: runCommand }
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
  /** the public address or range */
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
