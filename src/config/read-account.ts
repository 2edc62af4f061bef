// Sections account, settings, colos_down, shared_egress and dedicated_ips.

import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { type Family, type Ip, ip } from '../net/ip.ts'
import type { AccountSettings, DedicatedEgressIp, SharedEgress } from '../policy/account.ts'
import { COLOS } from '../policy/place.ts'
import type { RawDedicatedIp } from './account-schema.ts'
import { stableAccountId } from './names.ts'
import type { Problems } from './problems.ts'
import { checkUnique, placeOfColo, type ReadingContext, readColo, readPlace } from './reading.ts'
import type { DocumentPath } from './source-document.ts'
import { lastNumber, MOST_STAND_INS, type StandIns, usedPart } from './stand-ins.ts'

/** The account's id and name; an absent id is derived from the name. */
export function readAccount({ raw }: ReadingContext): { readonly id: string; readonly name: string } {
  const { id, name } = raw.account
  return Object.freeze({ id: id ?? stableAccountId(name), name })
}

/** The account's settings with their defaults ([E2], [F2], [R11], [B3], [E7], [G2]). Problems are recorded. */
export function readSettings({ raw, problems }: ReadingContext): AccountSettings {
  const { settings, account } = raw
  const homeColo = readColo(account.home_colo, ['account', 'home_colo'], problems)
  return Object.freeze({
    tcpProxying: settings.tcp_proxying,
    udpProxying: settings.udp_proxying,
    hostSelector: settings.host_selector,
    noRuleMatched: settings.no_rule_matched,
    expressions: settings.expressions,
    balanceTolerance: Object.freeze({
      share: settings.balance_tolerance.percent / 100,
      km: settings.balance_tolerance.km,
    }),
    maxConnectionsPerDestination: settings.max_connections_per_destination,
    homeCountry: account.home_country,
    homeColo: homeColo?.code ?? account.home_colo,
  })
}

/** Codes of the colos that are down. Unknown ones are recorded as problems and omitted. */
export function readColosDown({ raw, problems }: ReadingContext): readonly string[] {
  const codes = raw.colos_down.map((code, at) => readColo(code, ['colos_down', at], problems)?.code ?? code)
  return [...new Set(codes)]
}

/** Shared egress, one address per data center ([R4]); a range that the machine owns is its own stand-in. */
export function readSharedEgress({ raw, problems }: ReadingContext, standIns: StandIns): SharedEgress {
  const read = (family: 'ipv4' | 'ipv6') => {
    const { range: written, stand_ins } = raw.shared_egress[family]
    const path = ['shared_egress', family]
    const range = cidr(written)
    const { exit, bind } = raw.shared_egress
    const isItself =
      exit === undefined && (isNonlocal(bind) || standIns.isItself('shared', usedPart(range, COLOS.size)))
    const pair = { range, standIns: isItself ? range : cidr(stand_ins) }
    checkRoom(pair.range, [...path, 'range'], problems)
    checkRoom(pair.standIns, [...path, 'stand_ins'], problems)
    const dedicated = cidr(raw.stand_ins.network)
    if (overlap(pair.standIns, dedicated)) {
      const message = `\`${stand_ins}\` and the network of stand-ins, \`${dedicated.text}\`, overlap`
      problems.add([...path, 'stand_ins'], 'config.conflict', message)
    }
    return Object.freeze(pair)
  }
  return Object.freeze({ ipv4: read('ipv4'), ipv6: read('ipv6') })
}

function checkRoom(range: Cidr, path: DocumentPath, problems: Problems): void {
  const bits = (range.family === 4 ? 32 : 128) - range.length
  if (2 ** bits > COLOS.size) return
  problems.add(path, 'config.not_allowed', `\`${range.text}\` has fewer addresses than there are data centers`, {
    hint: `there are ${COLOS.size} data centers, so use /${(range.family === 4 ? 32 : 128) - 9} or wider`,
  })
}

/** Dedicated IPs with where databases place them ([G1], [G2]); stand-ins that are not configured are taken from `standIns`. */
export function readDedicatedIps(reading: ReadingContext, standIns: StandIns): readonly DedicatedEgressIp[] {
  const { raw, problems } = reading
  const items = raw.dedicated_ips
  for (const address of items.flatMap(writtenStandIns)) standIns.reserve(ip(address))
  checkUnique(reading, items, {
    path: (at) => ['dedicated_ips', at, 'ipv4'],
    noun: 'address',
    key: ({ ipv4 }) => ipv4,
  })
  checkUnique(reading, items, {
    path: (at) => ['dedicated_ips', at, 'ipv6'],
    noun: 'range',
    key: ({ ipv6 }) => (ipv6 === undefined ? undefined : cidr(ipv6).text),
  })
  checkOverlaps(reading)
  return items.flatMap((item, at) => {
    const path = ['dedicated_ips', at]
    if (item.ipv4 === undefined && item.ipv6 === undefined) {
      problems.add(path, 'config.missing_key', 'a dedicated IP needs `ipv4`, `ipv6` or both')
    }
    const colo = readColo(item.colo, [...path, 'colo'], problems)
    const geolocation = readPlace(item.geolocation, [...path, 'geolocation'], problems)
    if (colo === undefined) return []
    const updatedAt = item.geolocation_updated_at
    return Object.freeze({
      colo: colo.code,
      ...addressesOf(item, at, { path, problems, standIns }),
      geolocation: geolocation ?? placeOfColo(colo),
      ...(updatedAt === undefined ? {} : { geolocationUpdatedAt: Date.parse(updatedAt) }),
    })
  })
}

interface AddressContext {
  readonly path: DocumentPath
  readonly problems: Problems
  readonly standIns: StandIns
}

function addressesOf(item: RawDedicatedIp, at: number, context: AddressContext) {
  const number = item.ipv4 === undefined ? (at + 1) % 256 : lastNumber(ip(item.ipv4))
  const read = (family: 'ipv4' | 'ipv6') => {
    const written = item.stand_ins?.[family]
    if (written !== undefined) return readStandIns([written].flat(), [...context.path, 'stand_ins', family], context)
    if (family === 'ipv4' && isItself('ipv4')) return [ip(item.ipv4 ?? '')]
    const taken = context.standIns.take(family === 'ipv4' ? 'dedicatedIpv4' : 'dedicatedIpv6', number)
    if (taken === undefined) {
      const message = `all ${MOST_STAND_INS} stand-ins of the network of stand-ins are taken`
      context.problems.add(context.path, 'config.conflict', message, { hint: 'name one under `stand_ins`' })
    }
    const loopback = family === 'ipv4' || isItself('ipv6') ? [] : context.standIns.ipv6Loopback
    return [...(taken === undefined ? [] : [taken]), ...loopback]
  }
  const isItself = (family: 'ipv4' | 'ipv6') => {
    const prefix = item[family]
    if (prefix === undefined || item.exit !== undefined || item.stand_ins?.[family] !== undefined) return false
    return isNonlocal(item.bind) || context.standIns.isItself('dedicated', cidr(prefix))
  }
  const { ipv4, ipv6 } = item
  return {
    ...(ipv4 === undefined ? {} : { ipv4: Object.freeze({ address: ip(ipv4), standIns: read('ipv4') }) }),
    ...(ipv6 === undefined
      ? {}
      : { ipv6: Object.freeze({ range: cidr(ipv6), standIns: read('ipv6'), isItself: isItself('ipv6') }) }),
  }
}

/** The address is bound itself, whether or not this machine has it. */
function isNonlocal(bind: RawDedicatedIp['bind']): boolean {
  return bind?.freebind === true || bind?.transparent === true
}

function readStandIns(texts: readonly string[], path: DocumentPath, { problems }: AddressContext): readonly Ip[] {
  const addresses = texts.map((text) => ip(text))
  const families = new Set<Family>(addresses.map(({ family }) => family))
  if (families.size < addresses.length) {
    problems.add(path, 'config.conflict', 'there can be one stand-in of each family at most', {
      hint: 'the stand-in of the family that is dialled is bound',
    })
  }
  return addresses
}

/** IPv4 stand-ins and ranges must distinguish dedicated IPs; ::1 is shared, since there is only one. */
function checkOverlaps({ raw, problems }: ReadingContext): void {
  const owner = new Map<string, number>()
  const ranges: Cidr[] = []
  for (const [at, item] of raw.dedicated_ips.entries()) {
    for (const text of new Set(writtenStandIns(item))) {
      const before = owner.get(text)
      if (before !== undefined && text !== '::1') {
        const message = `the stand-in \`${text}\` is already used by another dedicated IP`
        problems.add(['dedicated_ips', at, 'stand_ins'], 'config.conflict', message)
      }
      owner.set(text, at)
    }
    if (item.ipv6 === undefined) continue
    const range = cidr(item.ipv6)
    const other = ranges.find((one) => one.text !== range.text && overlap(one, range))
    if (other !== undefined) {
      const message = `\`${range.text}\` and the range \`${other.text}\` overlap`
      problems.add(['dedicated_ips', at, 'ipv6'], 'config.conflict', message)
    }
    ranges.push(range)
  }
}

function writtenStandIns({ stand_ins }: RawDedicatedIp): readonly string[] {
  return [stand_ins?.ipv4 ?? [], stand_ins?.ipv6 ?? []].flat()
}

function overlap(a: Cidr, b: Cidr): boolean {
  return containsIp(a, b.base) || containsIp(b, a.base)
}
