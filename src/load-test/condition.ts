// One condition of a synthetic rule, apart from any language, so that the same rule can be written for egresslab and for
// the engines it is compared with.

/** `negated` turns the whole condition around; a negated condition is true of a connection without the value. */
export type SyntheticCondition = { readonly negated: boolean } & (
  | { readonly kind: 'group'; readonly names: readonly string[] }
  | { readonly kind: 'email'; readonly emails: readonly string[] }
  | { readonly kind: 'vnet'; readonly id: string }
  | { readonly kind: 'prefix'; readonly prefixes: readonly string[] }
  | { readonly kind: 'domain'; readonly domains: readonly string[] }
  | { readonly kind: 'country'; readonly countries: readonly string[] }
  | { readonly kind: 'port'; readonly ranges: readonly (readonly [number, number])[] }
  | { readonly kind: 'list'; readonly of: 'prefix' | 'email' | 'domain'; readonly id: string }
  | { readonly kind: 'regex'; readonly pattern: string }
)

/** Fields of which slot the condition speaks. */
export function slotOf(condition: SyntheticCondition): 'traffic' | 'identity' {
  if (condition.kind === 'list') return condition.of === 'email' ? 'identity' : 'traffic'
  return condition.kind === 'group' || condition.kind === 'email' ? 'identity' : 'traffic'
}

/** The condition as a Gateway expression. */
export function toExpression(condition: SyntheticCondition): string {
  const text = positive(condition)
  return condition.negated ? `not(${text})` : text
}

function positive(condition: SyntheticCondition): string {
  switch (condition.kind) {
    case 'group':
      return `any(identity.groups.name[*] in {${quoted(condition.names)}})`
    case 'email':
      return condition.emails.length === 1
        ? `identity.email == ${quoted(condition.emails)}`
        : `identity.email in {${quoted(condition.emails)}}`
    case 'vnet':
      return `net.vnet_id == "${condition.id}"`
    case 'prefix':
      return `net.dst.ip in {${condition.prefixes.join(' ')}}`
    case 'domain':
      return `any(net.fqdn.domains[*] in {${quoted(condition.domains)}})`
    case 'country':
      return `net.dst.geo.country in {${quoted(condition.countries)}}`
    case 'port':
      return `net.dst.port in {${condition.ranges.map(([from, to]) => (from === to ? from : `${from}..${to}`)).join(' ')}}`
    case 'list':
      return LIST_TESTS[condition.of].replace('$', `$${condition.id}`)
    case 'regex':
      return `net.fqdn.host matches r"${condition.pattern}"`
  }
}

const LIST_TESTS = {
  prefix: 'net.dst.ip in $',
  email: 'identity.email in $',
  domain: 'any(net.fqdn.domains[*] in $)',
} as const

function quoted(items: readonly string[]): string {
  return items.map((item) => `"${item}"`).join(' ')
}
