// Addresses of this machine, put together for verbs: the configuration says which, a trial bind whether they are here, and the
// system's own programs add and remove them.

import { changesToTakeBack, makeChanges, runCommand, takeBackChanges } from '../addresses/change-machine.ts'
import { openChangeRecord } from '../addresses/change-record.ts'
import { type NeededAddresses, neededAddresses, wholeRange } from '../addresses/needed.ts'
import { runInOwnNetwork } from '../addresses/own-network.ts'
import { type Changes, changesFor, showCommand } from '../addresses/system-commands.ts'
import { wantedPrefixes } from '../addresses/wanted.ts'
import type { AddressDesk, AddressRow, UpOptions } from '../cli/address-desk.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { type OwnAddresses, ownPrefixOf, readOwnAddresses } from '../config/own-addresses.ts'
import { cidr, parseCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { checkLocalAddresses } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { createStore } from '../store/store.ts'
import { readConfig } from './read-config.ts'
import { unexpectedNotice } from './unexpected-notice.ts'

/** Reads the configuration. Throws an InputError. */
export function openAddressDesk(configFile: string): AddressDesk {
  const { config } = readConfig(configFile)
  const account = accountOf(config)
  const system = process.platform
  const machine = () => ({ system, own: readOwnAddresses(), run: runCommand })
  const changes = async ({ shared }: UpOptions, own: OwnAddresses): Promise<Changes> => {
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
