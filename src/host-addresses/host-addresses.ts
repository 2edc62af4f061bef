// The addresses of this machine that a configuration needs: binds each to see whether it is here, and adds and removes them
// with the system's own programs; or runs a command in a network of its own, where anybody may add addresses (a user
// namespace with a network namespace in it, made by `unshare` of util-linux; it goes when the command ends).

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { LabConfig } from '../config/lab-config.ts'
import { type OwnAddresses, ownPrefixOf, readOwnAddresses } from '../config/stand-ins.ts'
import { readConfig, unexpectedNotice } from '../decider/read-config.ts'
import { inputError } from '../errors/issue.ts'
import { type NeededAddresses, neededAddresses, wantedPrefixes, wholeRange } from '../lab/needed-addresses.ts'
import { checkBound } from '../lab/preflight.ts'
import { type Cidr, cidr, parseCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { checkLocalAddresses } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { createStore } from '../store/store.ts'
import { chooseEngine } from '../transport/choose-engine.ts'
import type { Engine, SocketBinding } from '../transport/engine.ts'
import {
  changesFor,
  changesToTakeBack,
  makeChanges,
  openChangeRecord,
  runCommand,
  type SystemChanges,
  showCommand,
  takeBackChanges,
} from './change-machine.ts'
import { runProgram } from './run-program.ts'

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
  // those that are bound in a special way are nothing that could be added
  const plain = neededAddresses(config, account).filter(({ binding }) => binding === undefined)
  const all = plain.flatMap(({ addresses }) => addresses)
  const tried = await Promise.all(all.map(async (address) => (await checkLocalAddresses([address])).length > 0))
  return all.filter((_, at) => tried[at])
}

async function check(config: LabConfig, account: Account): Promise<readonly AddressRow[]> {
  const here = { own: readOwnAddresses(), engine: engineOf(config) }
  const needed = neededAddresses(config, account)
  const rows = [
    ...needed.map((item) => rowOf(item, true, here)),
    ...publicOnes(config, needed).map((item) => rowOf(item, false, here)),
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

interface OnThisMachine {
  readonly own: OwnAddresses
  readonly engine: Engine
}

/** Why `linux` cannot be had is told by `start`. */
function engineOf({ engine = 'auto' }: LabConfig): Engine {
  return chooseEngine(engine, () => undefined)
}

function byBinding({ device, freebind, transparent }: SocketBinding = {}): string | null {
  const how = [...(freebind === true ? ['freebind'] : []), ...(transparent === true ? ['transparent'] : [])]
  const all = [...how, ...(device === undefined ? [] : [`device ${device}`])]
  return all.length === 0 ? null : all.join(', ')
}

function oneAddress(address: Ip, where: string): NeededAddresses {
  return { use: 'dedicated', binds: address.text, addresses: [address], public: address.text, where }
}

async function rowOf(item: NeededAddresses, needed: boolean, { own, engine }: OnThisMachine): Promise<AddressRow> {
  const { addresses, binding, ...said } = item
  const issues = await checkBound(item, engine)
  const [first] = issues
  const more = issues.length > 1 && item.use === 'shared' ? ` (and ${issues.length - 1} more)` : ''
  return {
    ...said,
    count: addresses.length,
    needed,
    bindable: first === undefined,
    by: first === undefined ? (byBinding(binding) ?? byOf(item, own)) : null,
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

const UNSHARE = ['--user', '--map-root-user', '--net', '--', 'sh', '-c'] as const
/** A network nobody has touched. */
const NOTHING: OwnAddresses = { prefixes: [], ipv6NonlocalBind: false }

/** Runs it with this terminal's streams; without a command, the user's shell. Answers its exit code (128 and the signal's number
 *  for one that a signal ended). Throws an InputError where the kernel, or a missing program, does not let it. */
export async function runInOwnNetwork(prefixes: readonly Cidr[], command: readonly string[]): Promise<number> {
  const { changes } = changesFor(prefixes, NOTHING, 'linux')
  const setUp = ['ip link set lo up', ...changes.map(({ add }) => showCommand(add))].join(' && ')
  await tryNamespace([...UNSHARE, setUp])
  const inside = command.length > 0 ? command : [process.env.SHELL ?? 'sh']
  return runProgram(['unshare', ...UNSHARE, `${setUp} && exec "$@"`, 'sh', ...inside])
}

/** Sets such a network up and lets it go again, so that what fails afterwards is the command's affair. */
export function tryNamespace(unshare: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('unshare', unshare, (error, _stdout, stderr) => {
      if (error === null) return resolve()
      const isMissing = error.code === 'ENOENT'
      const why = isMissing ? '`unshare` is not installed' : stderr.trim().replaceAll('\n', '; ') || error.message
      const message = `cannot create a network namespace: ${why}`
      const hint = isMissing ? 'it is part of util-linux and needs Linux' : advice()
      reject(inputError('address.no_namespace', message, { hint }))
    })
  })
}

/** Switches that keep people without root from having namespaces, by the file they are read from. */
const SWITCHES = [
  ['kernel.unprivileged_userns_clone', '/proc/sys/kernel/unprivileged_userns_clone', '0', '1'],
  ['kernel.apparmor_restrict_unprivileged_userns', '/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1', '0'],
  ['user.max_user_namespaces', '/proc/sys/user/max_user_namespaces', '0', '10000'],
] as const

function advice(): string {
  const shut = SWITCHES.find(([, file, value]) => textOf(file) === value)
  if (shut !== undefined) return `\`sudo sysctl -w ${shut[0]}=${shut[3]}\` permits it on this machine`
  return 'containers often forbid it (Docker: `--security-opt seccomp=unconfined`); `egresslab addresses up`, with root, does not need it'
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return ''
  }
}
