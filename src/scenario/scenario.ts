// A scenario as read from its file: what happens when, who goes where meanwhile, and what must come of it; and the check that
// everything it names exists in its configuration. Times are milliseconds from the beginning.

import type { ObservationExpectation } from '../analysis/scenario-timeline.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import type { Issue } from '../errors/issue.ts'
import { parseAuthority } from '../net/host.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'

/** Somebody's request, in the terms of `explain`. */
export interface ScenarioRequestStep {
  readonly destination: string
  readonly user?: string
  readonly vnet?: string
  readonly sourceIp?: string
  readonly device?: string
  readonly endpoint?: string
  readonly family?: '4' | '6'
}

export type ScenarioChange =
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'colo'; readonly code: string; readonly up: boolean; readonly reset: boolean }
  | { readonly kind: 'clock-advance'; readonly ms: number; readonly written: string }
  | { readonly kind: 'clock-set'; readonly time: number }
  | { readonly kind: 'vnet-use'; readonly user: string; readonly vnet: string }
  | { readonly kind: 'rule'; readonly rule: string; readonly enabled: boolean }
  | { readonly kind: 'exit'; readonly address: string; readonly up: boolean }
  | { readonly kind: 'stand-in'; readonly address: string; readonly up: boolean }

/** Notes a problem with a part of what it belongs to, such as `['colo_down', 'colo']`. */
export type Complain = (part: readonly string[], code: string, message: string, hint?: string) => void

/** Repeated requests, or one connection that stays open. */
export interface ScenarioTraffic {
  readonly request: ScenarioRequestStep
  /** absent: held open */
  readonly everyMs?: number
  readonly fromMs: number
  /** exclusive */
  readonly untilMs: number
  readonly complain: Complain
}

/** A row of a table of expectations. */
export interface ScenarioRow {
  readonly name: string
  readonly line: number
  readonly request: ScenarioRequestStep
  readonly expect: ObservationExpectation
  readonly complain: Complain
}

/** Counts of held connections that are expected; an absent one is not looked at. */
export interface ConnectionExpectation {
  readonly line: number
  readonly open?: number
  readonly reset?: number
}

export interface Step {
  readonly atMs: number
  /** with the key of the file each stands under */
  readonly changes: readonly { readonly key: string; readonly change: ScenarioChange }[]
  readonly rows: readonly ScenarioRow[]
  readonly connections?: ConnectionExpectation
  readonly complain: Complain
}

export interface Scenario {
  readonly file: string
  readonly name: string
  /** as written, and seen from the working directory */
  readonly config: { readonly written: string; readonly path: string }
  /** lab time at the beginning, epoch ms; absent: the machine's */
  readonly startAt?: number
  readonly durationMs: number
  readonly traffic: readonly ScenarioTraffic[]
  readonly steps: readonly Step[]
  readonly complainOfConfig: (code: string, message: string) => void
  /** everything noted so far */
  readonly issues: readonly Issue[]
}

/** Complains of every name that the configuration does not have. */
export function checkNames({ traffic, steps }: Scenario, config: LabConfig): void {
  for (const { request, complain } of traffic) checkRequest(request, config, complain)
  for (const { changes, rows, complain } of steps) {
    for (const { key, change } of changes) checkChange(key, change, config, complain)
    for (const row of rows) {
      checkRequest(row.request, config, row.complain)
      const { rule } = row.expect
      if (typeof rule === 'string') checkRule(['rule'], rule, config, row.complain)
    }
  }
}

function checkRequest(request: ScenarioRequestStep, config: LabConfig, complain: Complain): void {
  const { destination, user, vnet, device, endpoint } = request
  if (destination !== '' && destinationOf(destination) === undefined) {
    const hint = 'write an `http://` or `https://` URL, or `host:port`'
    complain(['destination'], 'scenario.bad_destination', `invalid destination \`${destination}\``, hint)
  }
  if (user !== undefined) checkUser(['user'], user, config, complain)
  if (vnet !== undefined) checkVnet(['vnet'], vnet, config, complain)
  if (device !== undefined) {
    const names = config.devices.map(({ device: { name } }) => name)
    const ids = config.devices.map(({ device: { id } }) => id)
    complainUnless([...names, ...ids].includes(device), complain, ['device'], 'device', device, names)
  }
  if (endpoint !== undefined) {
    const names = config.listeners.flatMap(({ name, endpoint: own }) => [name, own?.name, own?.host]).filter(isText)
    complainUnless(names.includes(endpoint), complain, ['endpoint'], 'endpoint', endpoint, names)
  }
}

function checkChange(key: string, change: ScenarioChange, config: LabConfig, complain: Complain): void {
  switch (change.kind) {
    case 'vnet-use':
      checkUser([key, 'user'], change.user, config, complain)
      checkVnet([key, 'vnet'], change.vnet, config, complain)
      return
    case 'rule':
      checkRule([key, change.enabled ? 'enable' : 'disable'], change.rule, config, complain)
      return
    case 'exit': {
      const known = config.exits.flatMap(({ realises }) => realises)
      complainUnless(known.includes(change.address), complain, [key], 'exit', change.address, known)
      return
    }
    case 'stand-in': {
      const known = dedicatedAddresses(config)
      complainUnless(known.includes(change.address), complain, [key], 'dedicated address', change.address, known)
      return
    }
    default:
  }
}

function dedicatedAddresses({ dedicatedIps }: LabConfig): string[] {
  return dedicatedIps.flatMap(({ ipv4, ipv6 }) => [ipv4?.address.text, ipv6?.range.text]).filter(isText)
}

function checkUser(part: readonly string[], user: string, { users }: LabConfig, complain: Complain): void {
  const known = users.map(({ identity }) => identity.email)
  const isKnown = known.includes(canonicalEmail(user))
  complainUnless(isKnown, complain, part, 'user', user, known)
}

function checkVnet(part: readonly string[], vnet: string, { virtualNetworks }: LabConfig, complain: Complain): void {
  const isKnown = virtualNetworks.some(({ id, name }) => name === vnet || id === vnet.toLowerCase())
  const names = virtualNetworks.map(({ name }) => name)
  complainUnless(isKnown, complain, part, 'virtual network', vnet, names)
}

function checkRule(part: readonly string[], rule: string, { rules }: LabConfig, complain: Complain): void {
  const isKnown = rules.some(({ id, name }) => name === rule || id === rule.toLowerCase())
  const names = rules.map(({ name }) => name)
  complainUnless(isKnown, complain, part, 'rule', rule, names)
}

function complainUnless(
  isKnown: boolean,
  complain: Complain,
  part: readonly string[],
  ...[noun, name, known]: readonly [noun: string, name: string, known: readonly string[]]
): void {
  if (isKnown) return
  const code = `scenario.unknown_${noun.replaceAll(' ', '_')}`
  complain(part, code, `the configuration has no ${noun} \`${name}\``, didYouMean(name, known, 'there are'))
}

/** The URL a request asks for: what has no scheme is plain HTTP. Undefined for anything else. */
export function destinationOf(text: string): URL | undefined {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}`)
  if (url === null || url.username !== '' || url.hash !== '') return undefined
  if (!/^https?:\/\//i.test(text) && parseAuthority(text) === undefined) return undefined
  return url
}

function isText(text: string | undefined): text is string {
  return text !== undefined
}
