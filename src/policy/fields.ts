// The fields an egress rule may use, and in which of its three expressions ([F3], [R12]). Names and
// types only; flow-values.ts computes the values.

import { closest } from '../errors/did-you-mean.ts'
import { createScheme, type Scheme, type ValueType } from '../expression/value.ts'
import type { ExpressionSlot } from './rule.ts'

const BYTES_ARRAY = { array: 'Bytes' } as const

/** Every field with its type; the order gives the slots of FieldValues. */
const FIELDS = {
  'net.dst.ip': 'Ip',
  'net.dst.port': 'Int',
  'net.dst.geo.country': 'Bytes',
  'net.dst.geo.continent': 'Bytes',
  'net.src.ip': 'Ip',
  'net.src.port': 'Int',
  'net.src.geo.country': 'Bytes',
  'net.src.geo.continent': 'Bytes',
  'net.src.internal_src_ip': 'Ip',
  'net.protocol': 'Bytes',
  'net.vnet_id': 'Bytes',
  'net.fqdn.host': 'Bytes',
  'net.fqdn.domains': BYTES_ARRAY,
  'net.fqdn.content_category': { array: 'Int' },
  'app.ids': { array: 'Int' },
  'proxy.endpoint': 'Bytes',
  'identity.email': 'Bytes',
  'identity.name': 'Bytes',
  'identity.groups.id': BYTES_ARRAY,
  'identity.groups.name': BYTES_ARRAY,
  'identity.groups.email': BYTES_ARRAY,
  'identity.saml_attributes': { map: BYTES_ARRAY },
  'identity.oidc_claims': BYTES_ARRAY,
  'device_posture.checks.passed': BYTES_ARRAY,
  'device_posture.checks.failed': BYTES_ARRAY,
} as const satisfies Record<string, ValueType>

export type FieldName = keyof typeof FIELDS

/** [F2] Fields that have values only while the account's host-selector setting is on. */
export const HOST_SELECTORS: ReadonlySet<string> = new Set<FieldName>([
  'net.fqdn.host',
  'net.fqdn.domains',
  'net.fqdn.content_category',
  'app.ids',
])

/** Cloudflare's names of a rule's expressions, for messages. */
export const SLOT_NAMES = {
  traffic: 'traffic',
  identity: 'identity',
  devicePosture: 'device_posture',
} as const satisfies Readonly<Record<ExpressionSlot, string>>

/** The expression a field belongs in ([R12]). */
export function slotOf(field: string): ExpressionSlot {
  if (field.startsWith('identity.')) return 'identity'
  return field.startsWith('device_posture.') ? 'devicePosture' : 'traffic'
}

const GROUP_MEMBERS = {
  'identity.groups': { id: 'identity.groups.id', name: 'identity.groups.name', email: 'identity.groups.email' },
}

/** All fields together, for expressions outside a rule (`egresslab expr`). */
export const GATEWAY_SCHEME: Scheme = createScheme(FIELDS, {
  // there are no lists of ports, applications or categories ([R14])
  listTypes: ['Bytes', 'Ip'],
  objectArrays: GROUP_MEMBERS,
  pairTexts: ['identity.oidc_claims'],
  adviseUnknown: adviseForeign,
})

/** The fields of each of a rule's expressions; value slots are those of {@link GATEWAY_SCHEME}. A field of another
 *  expression is unknown here, and the hint names the expression it belongs in ([R12]). */
export const SLOT_SCHEMES: Readonly<Record<ExpressionSlot, Scheme>> = {
  traffic: schemeOf('traffic'),
  identity: schemeOf('identity'),
  devicePosture: schemeOf('devicePosture'),
}

function schemeOf(slot: ExpressionSlot): Scheme {
  const own = [...GATEWAY_SCHEME.fields].filter(([name]) => slotOf(name) === slot)
  return Object.freeze({
    ...GATEWAY_SCHEME,
    fields: new Map(own),
    objectArrays: slot === 'identity' ? GATEWAY_SCHEME.objectArrays : new Map(),
    adviseUnknown: (name: string) =>
      adviseMisplaced(name, slot) ?? adviseForeign(name) ?? adviseNearElsewhere(name, slot),
  })
}

function adviseMisplaced(name: string, slot: ExpressionSlot): string | undefined {
  const known = GATEWAY_SCHEME.fields.has(name) || GATEWAY_SCHEME.objectArrays.has(name)
  const home = slotOf(name)
  if (!known || home === slot) return undefined
  return `\`${name}\` belongs in the rule's \`${SLOT_NAMES[home]}\` expression, not in \`${SLOT_NAMES[slot]}\``
}

/** The hint for a misspelt name that belongs in another expression. */
function adviseNearElsewhere(name: string, slot: ExpressionSlot): string | undefined {
  const near = closest(name, GATEWAY_SCHEME.fields.keys(), 5)
  return near === undefined ? undefined : adviseMisplaced(near, slot)
}

/** Common wrong names with the right one. */
const RIGHT_NAMES: Readonly<Record<string, FieldName>> = {
  'identity.groups': 'identity.groups.name',
  'identity.group': 'identity.groups.name',
  'identity.group.name': 'identity.groups.name',
  'identity.user.email': 'identity.email',
  'net.dst.domain': 'net.fqdn.domains',
  'net.dst.host': 'net.fqdn.host',
  'net.sni.host': 'net.fqdn.host',
  'net.sni.domains': 'net.fqdn.domains',
  'net.fqdn.domain': 'net.fqdn.domains',
  'net.fqdn': 'net.fqdn.host',
  'net.virtual_network': 'net.vnet_id',
  'net.vnet': 'net.vnet_id',
  'net.dst.country': 'net.dst.geo.country',
  'net.src.country': 'net.src.geo.country',
  'device_posture.checks': 'device_posture.checks.passed',
}

const OTHER_PRODUCTS: readonly (readonly [prefix: string, advice: string])[] = [
  ['http.', 'fields of HTTP rules do not exist in egress rules: they run before any request is read'],
  ['dns.', 'fields of DNS rules do not exist in egress rules; match the name with `net.fqdn.domains`'],
  ['net.fqdn.security_category', 'security categories do not exist in egress rules'],
  ['net.detected_protocol', 'the detected protocol is not known before the connection is made; match `net.dst.port`'],
  ['net.sni.', 'the SNI is not known before the connection is made; match `net.fqdn.host` or `net.fqdn.domains`'],
]

/** People write an attribute as if it were a member. */
const ATTRIBUTE = /^(identity\.(?:saml_attributes|oidc_claims))\.(.+)$/

function adviseForeign(name: string): string | undefined {
  const [, field, attribute] = ATTRIBUTE.exec(name) ?? []
  if (field !== undefined) return `write \`any(${field}[*] == "${attribute}=…")\``
  const right = RIGHT_NAMES[name]
  if (right !== undefined) return `did you mean \`${right}\`?`
  const product = OTHER_PRODUCTS.find(([prefix]) => name.startsWith(prefix))
  return product?.[1]
}
