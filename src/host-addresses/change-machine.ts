// Makes changes on this machine, one command after another, each printed before it runs and recorded afterwards; and takes
// exactly those back. The record is one small file in the state folder, replaced whole and gone when nothing is left to take
// away. Holds names of changes, never commands.

import { execFile } from 'node:child_process'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../config/files.ts'
import { isOwn, type OwnAddresses, ownPrefixOf } from '../config/stand-ins.ts'
import { inputError } from '../errors/issue.ts'
import { type Cidr, cidr, parseCidr } from '../net/cidr.ts'

export interface Machine {
  readonly system: NodeJS.Platform
  readonly own: OwnAddresses
  readonly run: (command: CommandLine) => Promise<void>
}

/** Runs and remembers. Throws an InputError at the first command that fails; what was done before it is remembered. */
export async function makeChanges(
  changes: readonly SystemChange[],
  { run }: Pick<Machine, 'run'>,
  record: ChangeRecord,
  say: (line: string) => void,
): Promise<void> {
  for (const { what, add } of changes) {
    say(showCommand(add))
    await run(add)
    record.add(what)
  }
}

/** What was added and is still there, last first. */
export function changesToTakeBack(
  { own, system }: Omit<Machine, 'run'>,
  { added }: ChangeRecord,
): readonly SystemChange[] {
  return added
    .filter((what) => isMade(what, own))
    .map((what) => changeOf(what, system))
    .reverse()
}

/** Takes back what was added; what is gone already (a restart of the machine takes everything) is forgotten. */
export async function takeBackChanges(
  machine: Machine,
  record: ChangeRecord,
  say: (line: string) => void,
): Promise<void> {
  const there = changesToTakeBack(machine, record)
  for (const what of record.added) if (!there.some((change) => change.what === what)) record.remove(what)
  for (const { what, remove } of there) {
    say(showCommand(remove))
    await machine.run(remove)
    record.remove(what)
  }
}

/** Runs a program of the system. Throws an InputError with what it complained of. */
export function runCommand([program, ...args]: CommandLine): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, _stdout, stderr) => {
      if (error === null) return resolve()
      const isMissing = error.code === 'ENOENT'
      const why = isMissing ? 'the program is not installed' : stderr.trim() || error.message
      const hint = isMissing ? HINTS[program] : undefined
      const message = `\`${showCommand([program, ...args])}\` failed: ${why}`
      reject(inputError('address.command_failed', message, { hint }))
    })
  })
}

const HINTS: Readonly<Record<string, string>> = {
  ip: 'install iproute2 (`apt-get install iproute2`)',
  sysctl: 'install procps (`apt-get install procps`)',
}

interface ChangeRecord {
  readonly file: string
  /** names of changes, in the order they were made */
  readonly added: readonly string[]
  add(what: string): void
  /** Forgets a change that was taken back. */
  remove(what: string): void
}

/** Opens the record of a state folder. Throws an InputError for a file that is not one. */
export function openChangeRecord(state: string): ChangeRecord {
  const file = join(state, 'addresses.json')
  let added = read(file)
  const write = (next: readonly string[]) => {
    added = next
    if (next.length === 0) return rmSync(file, { force: true })
    makeFolder(state)
    writeFileSync(`${file}.new`, `${JSON.stringify({ added: next }, null, 2)}\n`)
    renameSync(`${file}.new`, file)
  }
  return {
    file,
    get added() {
      return added
    },
    add: (what) => write([...added.filter((one) => one !== what), what]),
    remove: (what) => write(added.filter((one) => one !== what)),
  }
}

function read(file: string): readonly string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  const added: unknown = Object(parsed(text)).added
  if (Array.isArray(added) && added.every(isName)) return added
  const message = 'this is not a record of added addresses'
  const hint = '`ip route show table local` lists the routes of this machine; delete the file once none of it is left'
  throw inputError('address.bad_record', message, { hint, file })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && (value === NONLOCAL_BIND || parseCidr(value) !== undefined)
}

// What makes an address local on a machine, and what takes it away again, as commands of that system.

type CommandLine = readonly [program: string, ...args: string[]]

/** One change of the machine. */
interface SystemChange {
  /** names the change in the record of changes: the prefix, or the kernel's switch */
  readonly what: string
  readonly add: CommandLine
  readonly remove: CommandLine
}

export interface SystemChanges {
  readonly changes: readonly SystemChange[]
  /** prefixes this machine cannot answer for, with the reason */
  readonly impossible: readonly { readonly prefix: string; readonly why: string }[]
}

/** The kernel's switch that lets Linux bind any address of a local IPv6 prefix. */
export const NONLOCAL_BIND = 'net.ipv6.ip_nonlocal_bind'

/** What is missing for these prefixes to be the machine's own; nothing where they are. */
export function changesFor(prefixes: readonly Cidr[], own: OwnAddresses, system: NodeJS.Platform): SystemChanges {
  const missing = prefixes.filter((prefix) => !isOwn(own, prefix))
  const reasons = missing.map((prefix) => ({ prefix, why: whyNot(prefix, own, system) }))
  const possible = reasons.flatMap(({ prefix, why }) => (why === undefined ? [prefix] : []))
  const routes = possible.filter((prefix) => ownPrefixOf(own, prefix) === undefined).map(({ text }) => text)
  const needsSwitch = possible.some(({ family }) => family === 6) && own.ipv6NonlocalBind === false
  return {
    changes: [...routes, ...(needsSwitch ? [NONLOCAL_BIND] : [])].map((what) => changeOf(what, system)),
    impossible: reasons.flatMap(({ prefix, why }) => (why === undefined ? [] : [{ prefix: prefix.text, why }])),
  }
}

function whyNot({ family, length }: Cidr, own: OwnAddresses, system: NodeJS.Platform): string | undefined {
  if (system === 'darwin') {
    if (length === (family === 4 ? 32 : 128)) return undefined
    return 'macOS takes only single addresses, as aliases of lo0'
  }
  if (system !== 'linux') return 'egresslab can add addresses on Linux and macOS only'
  return family === 6 && own.ipv6NonlocalBind === undefined ? 'IPv6 is switched off on this machine' : undefined
}

/** The change of this name. */
export function changeOf(what: string, system: NodeJS.Platform): SystemChange {
  if (what === NONLOCAL_BIND) {
    const set = (value: 0 | 1): CommandLine => ['sysctl', '-q', '-w', `${NONLOCAL_BIND}=${value}`]
    return { what, add: set(1), remove: set(0) }
  }
  const prefix = cidr(what)
  return system === 'darwin' ? loopbackAlias(prefix) : localRoute(prefix)
}

/** Is the change in force? */
function isMade(what: string, own: OwnAddresses): boolean {
  if (what === NONLOCAL_BIND) return own.ipv6NonlocalBind === true
  return own.prefixes.some(({ prefix }) => prefix.text === cidr(what).text)
}

/** A command as a shell takes it. None of its words needs quoting. */
export function showCommand(command: CommandLine): string {
  return command.join(' ')
}

function localRoute({ family, text }: Cidr): SystemChange {
  const route = (verb: 'add' | 'del'): CommandLine => ['ip', `-${family}`, 'route', verb, 'local', text, 'dev', 'lo']
  return { what: text, add: route('add'), remove: route('del') }
}

/** One address each: an IPv6 range is out of reach. */
function loopbackAlias({ family, base: { text }, ...prefix }: Cidr): SystemChange {
  const kind = family === 4 ? 'inet' : 'inet6'
  const mask = family === 4 ? (['netmask', '255.255.255.255'] as const) : (['prefixlen', '128'] as const)
  return {
    what: prefix.text,
    add: ['ifconfig', 'lo0', kind, text, ...mask, 'alias'],
    remove: ['ifconfig', 'lo0', kind, text, '-alias'],
  }
}
