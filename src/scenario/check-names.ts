// Checks that everything a scenario names exists in its configuration, before it runs; reports all problems with their places.

import type { LabConfig } from '../config/lab-config.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { parseAuthority } from '../net/host.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { Complain, Scenario, ScenarioChange, ScenarioRequestStep } from './scenario.ts'

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
