// What can be said in a rule: its fields, each with what it holds, and the names that the lab knows. Completes a text at the
// caret; whether the text is right is the lab's to say.

export type Slot = 'traffic' | 'identity' | 'device_posture'

interface Described {
  readonly slot: Slot
  readonly about: string
  /** has several values, so that it stands in any(…) or all(…) */
  readonly isMany?: boolean
}

/** Every field of the language. */
export const SELECTORS: Readonly<Record<string, Described>> = {
  'net.fqdn.domains': {
    slot: 'traffic',
    isMany: true,
    about: 'the destination’s host name and every domain above it: matches subdomains too',
  },
  'net.fqdn.host': { slot: 'traffic', about: 'the destination’s host name alone, in lower case' },
  'net.fqdn.content_category': {
    slot: 'traffic',
    isMany: true,
    about: 'numbers of the content categories of the host',
  },
  'app.ids': { slot: 'traffic', isMany: true, about: 'numbers of the applications the host belongs to' },
  'net.dst.ip': { slot: 'traffic', about: 'the destination’s address; compare with in {192.0.2.0/24} or a list' },
  'net.dst.port': { slot: 'traffic', about: 'the destination’s port, a number' },
  'net.dst.geo.country': { slot: 'traffic', about: 'the country the destination’s address is in: two capital letters' },
  'net.dst.geo.continent': { slot: 'traffic', about: 'the continent of the destination: AF AN AS EU NA OC SA' },
  'net.src.ip': { slot: 'traffic', about: 'the address the user comes from' },
  'net.src.port': { slot: 'traffic', about: 'the port the user comes from, a number' },
  'net.src.internal_src_ip': { slot: 'traffic', about: 'the user’s private address, where it is known' },
  'net.src.geo.country': { slot: 'traffic', about: 'the country the user is in: two capital letters' },
  'net.src.geo.continent': { slot: 'traffic', about: 'the continent the user is on: AF AN AS EU NA OC SA' },
  'net.protocol': { slot: 'traffic', about: '"tcp" or "udp"' },
  'net.vnet_id': { slot: 'traffic', about: 'the id of the virtual network the user is on' },
  'proxy.endpoint': { slot: 'traffic', about: 'the proxy endpoint the connection came in by' },
  'identity.email': { slot: 'identity', about: 'the user’s email address, in lower case' },
  'identity.name': { slot: 'identity', about: 'the user’s full name' },
  'identity.groups.name': { slot: 'identity', isMany: true, about: 'the names of the user’s groups' },
  'identity.groups.email': { slot: 'identity', isMany: true, about: 'the email addresses of the user’s groups' },
  'identity.groups.id': { slot: 'identity', isMany: true, about: 'the ids of the user’s groups' },
  'identity.saml_attributes': { slot: 'identity', isMany: true, about: 'attributes from SAML, each as "name=value"' },
  'identity.oidc_claims': { slot: 'identity', isMany: true, about: 'claims from OIDC, each as "name=value"' },
  'device_posture.checks.passed': {
    slot: 'device_posture',
    isMany: true,
    about: 'ids of the posture checks that the device passes',
  },
  'device_posture.checks.failed': {
    slot: 'device_posture',
    isMany: true,
    about: 'ids of the posture checks that the device fails',
  },
}

const CONTINENTS = ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA']
const WORDS = { any: 'any(… [*] …): true for one value at least', all: 'all(… [*] …): true for every value' }

/** Something that can stand in a rule, and what people call it. */
export interface Named {
  readonly id: string
  readonly name: string
}

/** The names that the lab knows. */
export interface Vocabulary {
  readonly groups: readonly string[]
  readonly people: readonly string[]
  readonly lists: readonly Named[]
  readonly networks: readonly Named[]
  readonly hosts: readonly string[]
  /** posture checks */
  readonly checks: readonly Named[]
}

export interface Suggestion {
  readonly text: string
  /** for people, where it is not the text */
  readonly name: string
  readonly about: string
}

export interface Completion {
  /** where the part to replace begins, up to the caret */
  readonly from: number
  readonly options: readonly Suggestion[]
}

const MOST_OPTIONS = 8
const UNFINISHED = /(?<list>\$(?:"[^"]*|[\w.-]*))$|(?<text>"[^"]*)$|(?<word>[A-Za-z_][\w.]*)$/

/** What may stand at the caret. Empty where there is nothing to add. */
export function complete(slot: Slot, before: string, known: Vocabulary): Completion {
  const inQuotes = (before.replace(/\\./g, '').match(/"/g)?.length ?? 0) % 2 === 1
  const found = UNFINISHED.exec(before)
  const { list, text, word } = found?.groups ?? {}
  const from = found?.index ?? before.length
  if (list !== undefined) return best(from, list.slice(1).replace(/^"/, ''), listsOf(known))
  if (inQuotes && text !== undefined)
    return best(from, text.slice(1), valuesOf(fieldBefore(before.slice(0, from)), known))
  if (inQuotes || word === undefined) return { from, options: [] }
  return best(from, word, wordsOf(slot))
}

/** The field that what stands at the caret is about. */
export function fieldBefore(before: string): string | undefined {
  const names = before.match(/[a-z_]+(?:\.[a-z_]+)+/g) ?? []
  return names.findLast((name) => Object.hasOwn(SELECTORS, name))
}

function best(from: number, typed: string, options: readonly Suggestion[]): Completion {
  const wanted = typed.toLowerCase()
  const rank = ({ name }: Suggestion) => (name.toLowerCase().startsWith(wanted) ? 0 : 1)
  const fitting = options.filter(({ name }) => name.toLowerCase().includes(wanted) && name !== typed)
  return { from, options: fitting.sort((a, b) => rank(a) - rank(b)).slice(0, MOST_OPTIONS) }
}

function listsOf({ lists }: Vocabulary): Suggestion[] {
  return lists.map(({ id, name }) => ({ text: `$${id}`, name, about: 'list' }))
}

function wordsOf(slot: Slot): Suggestion[] {
  const fields = Object.entries(SELECTORS).filter(([, described]) => described.slot === slot)
  return [
    ...fields.map(([name, { about, isMany = false }]) => ({ text: isMany ? `${name}[*]` : name, name, about })),
    ...Object.entries(WORDS).map(([name, about]) => ({ text: `${name}(`, name, about })),
  ]
}

function valuesOf(field: string | undefined, known: Vocabulary): Suggestion[] {
  const plain = (values: readonly string[], about: string) =>
    values.map((value) => ({ text: `"${value}"`, name: value, about }))
  const byId = (things: readonly Named[], about: string) =>
    things.map(({ id, name }) => ({ text: `"${id}"`, name, about }))
  if (field === undefined) return []
  if (field === 'identity.groups.name') return plain(known.groups, 'group')
  if (field === 'identity.email') return plain(known.people, 'person')
  if (field.startsWith('net.fqdn.')) return plain(known.hosts, 'destination')
  if (field.endsWith('.continent')) return plain(CONTINENTS, 'continent')
  if (field === 'net.protocol') return plain(['tcp', 'udp'], 'protocol')
  if (field.startsWith('device_posture.')) return byId(known.checks, 'posture check')
  return field === 'net.vnet_id' ? byId(known.networks, 'virtual network') : []
}
