// Values in rules and lists that nothing has: names nobody bears, and literals that the normalised fact can never equal. A
// name is unknown only where all names are known; where they come from elsewhere too, only a likely misspelling is told.

import { closest, didYouMean } from '../errors/did-you-mean.ts'
import type { Issue } from '../errors/issue.ts'
import { type Comparison, canonicalListName, characterSpan, partsOf, textOf } from '../expression/index.ts'
import type { Account, NamedList } from '../policy/account.ts'
import { SLOT_NAMES } from '../policy/fields.ts'
import { countryFacts } from '../policy/place.ts'
import type { Rule } from '../policy/rule.ts'
import { type RuleIssue, RuleParser } from '../policy/rule-expressions.ts'
import type { Ruleset } from '../policy/ruleset.ts'

/** The kinds of names that rules may know from elsewhere. */
export type OpenVocabulary = 'people' | 'groups' | 'posture_checks' | 'applications' | 'categories'

/** Everything a rule can name, besides what the account has. */
export interface RuleVocabulary {
  /** emails */
  readonly people: readonly string[]
  readonly groups: readonly { readonly id: string; readonly name: string; readonly email: string }[]
  readonly postureChecks: readonly { readonly id: string; readonly name: string }[]
  /** host names */
  readonly endpoints: readonly string[]
  readonly applications: readonly number[]
  readonly categories: readonly number[]
  /** those of which there are others too, at an identity provider say */
  readonly open: ReadonlySet<OpenVocabulary>
}

/** `why`: why it matters. `span`: of the comparison, in characters of its expression. */
export interface ValueIssue extends Omit<RuleIssue, 'rule'> {
  readonly rule?: Rule
  readonly why: string
  readonly span?: readonly [number, number]
}

const NEVER = 'no connection has that value'

interface Kind {
  readonly code: string
  readonly noun: string
  readonly known: readonly string[]
  readonly isOpen: boolean
  /** what there is, in a hint, where it is not what is compared */
  readonly shown?: readonly string[]
}

/** All findings, rule by rule, then list by list. `vocabulary` absent: names are not checked, their form is. */
export function checkValues(
  ruleset: Ruleset,
  account: Account,
  vocabulary: RuleVocabulary | undefined,
): readonly ValueIssue[] {
  const parser = new RuleParser(account.settings.expressions)
  const kinds = kindsOf(account, vocabulary)
  const lists = new Map(account.lists.map((list) => [canonicalListName(list.id), list]))
  const used = new Set<NamedList>()
  const ofRules = ruleset.active.flatMap(({ rule }) =>
    parser.parse(rule).expressions.flatMap(({ slot, expression }) =>
      partsOf(expression).comparisons.flatMap((comparison): ValueIssue[] => {
        const name = comparison.test.kind === 'in-list' ? comparison.test.list.name : undefined
        const list = lists.get(name ?? '')
        if (list !== undefined) used.add(list)
        const ofList = list === undefined ? unknownList(comparison, name, account.lists) : listMisfits(comparison, list)
        const found = [...misfits(comparison, kinds), ...ofList]
        const span = characterSpan(expression.source, comparison.span)
        const path = ['rules', rule.name, SLOT_NAMES[slot]]
        return found.map(({ message, ...rest }) => {
          return { severity: 'warning', ...rest, message: `rule \`${rule.name}\` ${message}`, rule, slot, span, path }
        })
      }),
    ),
  )
  return [...ofRules, ...[...used].flatMap(itemMisfits)]
}

type Finding = Pick<Issue, 'code' | 'message' | 'hint'> & Pick<ValueIssue, 'why'> & Partial<Pick<Issue, 'severity'>>

/** The values of a comparison that asks whether something is equal. */
function valuesOf({ test }: Comparison): string[] {
  if (test.kind === 'order' && (test.op === '==' || test.op === '!=')) {
    return test.literal.type === 'Ip' ? [] : [literalText(test.literal)]
  }
  if (test.kind !== 'in-set' || test.set.type === 'Ip') return []
  if (test.set.type === 'Bytes') return test.set.members.map(literalText)
  return test.set.members.flatMap(({ first, last }) => (first === last ? [String(first)] : []))
}

function literalText({ value }: { readonly value: string | number | bigint }): string {
  return typeof value === 'string' ? textOf(value) : String(value)
}

function misfits(comparison: Comparison, kinds: ReadonlyMap<string, Kind>): Finding[] {
  const field = comparison.access.field.name
  return valuesOf(comparison).flatMap((value): Finding[] => {
    const malformed = formOf(field, value)
    if (malformed !== undefined) return [malformed]
    const kind = kinds.get(field)
    return kind === undefined || kind.known.includes(value) ? [] : unknownName(kind, value)
  })
}

function unknownName({ code, noun, known, isOpen, shown = known }: Kind, value: string): Finding[] {
  const guess = closest(value, shown)
  if (isOpen && guess === undefined) return []
  const message = `names ${noun} \`${value}\`, which does not exist`
  const hint = guess === undefined ? didYouMean(value, shown, 'there are') : `did you mean \`${guess}\`?`
  const isMinor = isOpen || code === 'value.unknown_application' || code === 'value.unknown_category'
  return [{ code, message, why: NEVER, ...(hint === undefined ? {} : { hint }), ...(isMinor ? ADVICE : {}) }]
}

const ADVICE = { severity: 'advice' } as const

function kindsOf({ virtualNetworks }: Account, vocabulary: RuleVocabulary | undefined): ReadonlyMap<string, Kind> {
  const network: Kind = {
    code: 'value.unknown_network',
    noun: 'the virtual network',
    known: virtualNetworks.map(({ id }) => id),
    shown: virtualNetworks.map(({ name }) => name),
    isOpen: false,
  }
  const always: [string, Kind][] = [['net.vnet_id', network]]
  if (vocabulary === undefined) return new Map(always)
  const { people, groups, postureChecks, endpoints, applications, categories, open } = vocabulary
  const group = (known: readonly string[]): Kind => {
    return { code: 'value.unknown_group', noun: 'the group', known, isOpen: open.has('groups') }
  }
  const check: Kind = {
    code: 'value.unknown_posture_check',
    noun: 'the posture check',
    known: postureChecks.map(({ id }) => id),
    shown: postureChecks.map(({ name }) => name),
    isOpen: open.has('posture_checks'),
  }
  const number = (code: string, noun: string, known: readonly number[], isOpen: boolean): Kind => {
    return { code, noun, known: known.map(String), isOpen }
  }
  return new Map([
    ...always,
    ['identity.email', { code: 'value.unknown_person', noun: 'the person', known: people, isOpen: open.has('people') }],
    ['identity.groups.name', group(groups.map(({ name }) => name))],
    ['identity.groups.id', group(groups.map(({ id }) => id))],
    ['identity.groups.email', group(groups.map(({ email }) => email))],
    ['device_posture.checks.passed', check],
    ['device_posture.checks.failed', check],
    ['proxy.endpoint', { code: 'value.unknown_endpoint', noun: 'the proxy endpoint', known: endpoints, isOpen: false }],
    ['app.ids', number('value.unknown_application', 'the application', applications, open.has('applications'))],
    [
      'net.fqdn.content_category',
      number('value.unknown_category', 'the content category', categories, open.has('categories')),
    ],
  ])
}

const HOSTS: ReadonlySet<string> = new Set(['net.fqdn.host', 'net.fqdn.domains'])
const EMAILS: ReadonlySet<string> = new Set(['identity.email', 'identity.groups.email'])
const IDS: ReadonlySet<string> = new Set([
  'net.vnet_id',
  'identity.groups.id',
  'device_posture.checks.passed',
  'device_posture.checks.failed',
])
const CONTINENTS: Readonly<Record<string, string>> = {
  africa: 'AF',
  antarctica: 'AN',
  asia: 'AS',
  europe: 'EU',
  'north america': 'NA',
  oceania: 'OC',
  australia: 'OC',
  'south america': 'SA',
}
/** What people write for a country, and its code in ISO 3166. */
const COUNTRIES: Readonly<Record<string, string>> = { UK: 'GB', EN: 'GB', USA: 'US', GBR: 'GB', DEU: 'DE', EL: 'GR' }
const UUID_WITH_CAPITALS = /^(?=.*[A-F])[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/

/** The text in a form that its field never has, with the right form. */
function formOf(field: string, value: string): Finding | undefined {
  if (HOSTS.has(field)) return hostForm(field, value)
  if (EMAILS.has(field) && /[A-Z]/.test(value)) return lowerCase(field, value)
  if (IDS.has(field) && UUID_WITH_CAPITALS.test(value))
    return never(field, value, 'ids have no capitals', value.toLowerCase())
  if (field.endsWith('.geo.country') && countryFacts(value) === undefined) return countryForm(field, value)
  if (field.endsWith('.geo.continent') && !Object.values(CONTINENTS).includes(value)) return continentForm(field, value)
  return undefined
}

function hostForm(field: string, value: string): Finding | undefined {
  const right = hostOf(value)
  const lower = value.toLowerCase()
  if (right === value || right === undefined) return undefined
  if (right === lower) return lowerCase(field, value)
  const reason = value.includes('*')
    ? 'a wildcard is an ordinary character here'
    : /[:/]/.test(value)
      ? 'a host has no scheme, port or path'
      : /[^\0-\x7f]/.test(value)
        ? 'names are compared in their ASCII form (RFC 5891)'
        : 'names are compared without dots around them'
  const found = never(field, value, reason, right)
  if (!value.includes('*')) return found
  return { ...found, hint: `write \`any(net.fqdn.domains[*] == "${right}")\`, which covers every name under it` }
}

/** The host in what people write for one: without scheme, port, path, wildcard and dots, in ASCII and lower case. */
function hostOf(text: string): string | undefined {
  const bare = text
    .trim()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/[/?#].*$/, '')
    .replace(/:\d+$/, '')
  const name = bare.replace(/^\*?\./, '').replace(/\.$/, '')
  if (name === '' || !URL.canParse(`http://${name}/`)) return undefined
  return /^[\d.]+$/.test(name) ? undefined : new URL(`http://${name}/`).hostname
}

function lowerCase(field: string, value: string): Finding {
  return {
    code: 'practice.letter_case',
    message: `compares \`${field}\`, which is always in lower case, with \`${value}\``,
    why: NEVER,
    hint: `write \`${value.toLowerCase()}\``,
  }
}

function never(field: string, value: string, reason: string, right?: string): Finding {
  return {
    code: 'value.never_equal',
    message: `compares \`${field}\` with \`${value}\`, but ${reason}`,
    why: NEVER,
    ...(right === undefined ? {} : { hint: `write \`${right}\`` }),
  }
}

function countryForm(field: string, value: string): Finding {
  const upper = value.toUpperCase()
  const right = COUNTRIES[upper] ?? (countryFacts(upper) === undefined ? undefined : upper)
  if (right === upper) return never(field, value, 'country codes are in capitals', right)
  return {
    ...never(field, value, 'it is not an ISO 3166 country code', right),
    code: 'value.unknown_country',
    ...(right === undefined ? { hint: 'write two capitals, such as `GB`' } : {}),
  }
}

function continentForm(field: string, value: string): Finding {
  const right =
    CONTINENTS[value.toLowerCase()] ?? Object.values(CONTINENTS).find((code) => code === value.toUpperCase())
  return {
    ...never(field, value, 'continents are AF, AN, AS, EU, NA, OC and SA', right),
    code: 'value.unknown_continent',
  }
}

/** Types of lists that can hold what a field has; any for fields that are not here. */
function typesFor({ access }: Comparison): readonly string[] | undefined {
  if (access.valueType === 'Ip') return ['IP']
  if (HOSTS.has(access.field.name)) return ['DOMAIN', 'HOST', 'HOSTNAME']
  return EMAILS.has(access.field.name) ? ['EMAIL'] : undefined
}

/** `name`: of a list that does not exist; absent: no list is compared with. */
function unknownList({ access }: Comparison, name: string | undefined, lists: readonly NamedList[]): Finding[] {
  if (name === undefined) return []
  const message = `looks for \`${access.field.name}\` in the list \`$${name}\`, which does not exist and counts as empty`
  const guess = closest(
    name,
    lists.map(({ id }) => id),
  )
  const hint = guess === undefined ? 'create the list, or correct the id' : `did you mean \`$${guess}\`?`
  return [{ code: 'rule.unknown_list', message, why: 'nothing is in it', hint }]
}

function listMisfits(comparison: Comparison, { name, type, items }: NamedList): Finding[] {
  const types = typesFor(comparison)
  const field = comparison.access.field.name
  if (types !== undefined && !types.includes(type.toUpperCase())) {
    const message = `looks for \`${field}\` in the list \`${name}\`, which is of type ${type}`
    return [{ code: 'list.wrong_type', message, why: NEVER, hint: `use a list of type ${types[0]}` }]
  }
  if (items.length > 0) return []
  const message = `looks for \`${field}\` in the list \`${name}\`, which is empty`
  return [
    { code: 'list.empty', message, why: 'nothing is in it', hint: 'add its items, or delete the rule', ...ADVICE },
  ]
}

/** Items of a list in a form that nothing has. Letter case and a dot at the end do not matter there. */
function itemMisfits({ name, type, items }: NamedList): ValueIssue[] {
  const isHosts = ['DOMAIN', 'HOST', 'HOSTNAME'].includes(type.toUpperCase())
  return items.flatMap((item): ValueIssue[] => {
    const right = isHosts && /[*/:]|^\./.test(item) ? hostOf(item) : undefined
    const isNoEmail = type.toUpperCase() === 'EMAIL' && !item.includes('@')
    if (right === undefined && !isNoEmail) return []
    const message = `the list \`${name}\` has the item \`${item}\`, which no ${isHosts ? 'host name' : 'email address'} equals`
    const hint = right === undefined ? 'write an email address' : `write \`${right}\``
    return [{ severity: 'warning', code: 'list.item_never_equal', message, why: NEVER, hint, path: ['lists', name] }]
  })
}
