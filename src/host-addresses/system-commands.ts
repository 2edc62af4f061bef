// What makes an address local on a machine, and what takes it away again, as commands of that system. Runs none of them.

import { isOwn, type OwnAddresses, ownPrefixOf } from '../config/stand-ins.ts'
import { type Cidr, cidr } from '../net/cidr.ts'

export type CommandLine = readonly [program: string, ...args: string[]]

/** One change of the machine. */
export interface SystemChange {
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
export function isMade(what: string, own: OwnAddresses): boolean {
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
