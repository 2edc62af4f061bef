// The rules of the file itself and of rules_file. Expressions are not parsed here; where they name what rules know by id,
// the id takes its place, and problems in them are still shown where their author wrote.

import { didYouMean } from '../errors/did-you-mean.ts'
import { drawLine, type Issue } from '../errors/issue.ts'
import { drawProblem, type ExpressionProblem, isBlank, positionOf, type Span } from '../expression/index.ts'
import { cidr, parseCidr } from '../net/cidr.ts'
import { equalIp, ip, parseIp } from '../net/ip.ts'
import { SLOT_NAMES } from '../policy/fields.ts'
import { EXPRESSION_SLOTS, type ExpressionSlot } from '../policy/rule.ts'
import type { RawRule } from './account-schema.ts'
import { asWritten, writtenSpan } from './expression-names.ts'
import type { ConfiguredRule } from './lab-config.ts'
import { advance, type Problems, type SourcePosition } from './problems.ts'
import type { ReadingContext } from './reading.ts'
import { expandRule, fromRawRule, rangesOf, rawPrecedences, rawRuleId, readRule } from './rule-document.ts'
import type { DocumentPath, SourceDocument } from './source-document.ts'

/** The rules of one document, and the path of the list in it. */
export interface RuleList {
  readonly document: SourceDocument
  readonly problems: Problems
  readonly path: DocumentPath
  readonly rules: readonly RawRule[]
}

/** The addresses the account owns, as text, collected from data that may not have the right shape. */
export interface OwnedRules {
  readonly ipv4: readonly string[]
  readonly ipv6: readonly string[]
  /** range by IPv4 address of the same dedicated IP */
  readonly rangeOf: ReadonlyMap<string, string>
}

interface Entry {
  readonly list: RuleList
  readonly path: DocumentPath
  readonly rule: RawRule
  readonly precedence: number
}

/** All rules in the order written, with precedences filled in ([R3]; without the random part, so that every start
 *  gives the same). */
export function readRules(reading: ReadingContext, lists: readonly RuleList[]): readonly ConfiguredRule[] {
  const owned = gatherOwned(reading.raw)
  const entries = entriesOf(lists)
  checkRepeated(entries)
  return entries.map((entry) => {
    const { precedence } = entry
    checkKind(entry)
    checkEgress(entry, owned)
    const { rule, writtenNames } = expandRule(entry.rule, reading.names, {
      path: entry.path,
      problems: entry.list.problems,
    })
    const fields = fromRawRule(rule, precedence, owned.rangeOf)
    const { rest: _, ...document } = readRule(fields, { id: rawRuleId(rule), precedence })
    return Object.freeze({
      ...document,
      filters: Object.freeze(document.filters),
      egress: Object.freeze(document.egress),
      ...positionsOf(entry, reading),
      ...(Object.keys(writtenNames).length === 0 ? {} : { writtenNames: Object.freeze(writtenNames) }),
    })
  })
}

function entriesOf(lists: readonly RuleList[]): readonly Entry[] {
  const entries = lists.flatMap((list) => list.rules.map((rule, at) => ({ list, path: [...list.path, at], rule })))
  const precedences = rawPrecedences(entries.map(({ rule }) => rule))
  return entries.map((entry, at) => ({ ...entry, precedence: precedences[at] ?? 0 }))
}

function checkRepeated(entries: readonly Entry[]): void {
  const precedences = new Map<number, Entry>()
  const ids = new Map<string, Entry>()
  for (const entry of entries) {
    const { list, path, rule, precedence } = entry
    const sooner = precedences.get(precedence)
    if (sooner === undefined) precedences.set(precedence, entry)
    else {
      const message = `the precedence ${precedence} is already taken by the rule \`${sooner.rule.name}\``
      list.problems.add([...path, 'precedence'], 'config.duplicate', message, { hint: otherLine(sooner) })
    }
    const twin = ids.get(rawRuleId(rule))
    if (twin === undefined) ids.set(rawRuleId(rule), entry)
    else if (rule.id === undefined) {
      const message = `two rules are called \`${rule.name}\`, so they would share an id`
      const hint = `${otherLine(twin)}; rename one or give it an \`id\``
      list.problems.add([...path, 'name'], 'config.duplicate', message, { hint })
    } else {
      const message = `the id \`${rule.id}\` is already taken by the rule \`${twin.rule.name}\``
      list.problems.add([...path, 'id'], 'config.duplicate', message, { hint: otherLine(twin) })
    }
  }
}

function otherLine({ list, path }: Entry): string {
  return `the other one begins in line ${list.problems.locate(path).line}`
}

/** An egress rule has the action and the filter `egress`; rules of other kinds have neither ([R1], [R9]). */
function checkKind({ list, path, rule }: Entry): void {
  const isEgress = rule.filters.includes('egress')
  if (isEgress === (rule.action === 'egress')) return
  list.problems.add([...path, isEgress ? 'action' : 'filters'], 'config.conflict', 'action and filters disagree', {
    hint: 'an egress rule has `action: egress` and `filters: [egress]`, which are also the defaults',
  })
}

function checkEgress({ list: { problems }, path, rule }: Entry, owned: OwnedRules): void {
  const { egress } = rule
  if (egress === null) return
  const at = [...path, 'egress']
  const address = ip(egress.ipv4).text
  if (!owned.ipv4.includes(address)) {
    const hint = didYouMean(address, owned.ipv4, 'it owns')
    problems.add([...at, 'ipv4'], 'config.unowned_address', `the account owns no dedicated IPv4 \`${egress.ipv4}\``, {
      hint,
    })
  }
  checkFallback(egress.ipv4_fallback, address, { path: [...at, 'ipv4_fallback'], problems, owned })
  checkRange(egress.ipv6, address, { path: at, problems, owned })
}

interface Check {
  readonly path: DocumentPath
  readonly problems: Problems
  readonly owned: OwnedRules
}

function checkFallback(fallback: string | null, primary: string, { path, problems, owned }: Check): void {
  if (fallback === null || fallback === '0.0.0.0') return
  if (equalIp(ip(fallback), ip(primary))) {
    problems.add(path, 'config.conflict', 'the fallback is the primary address itself', {
      hint: 'use a dedicated IP at another data center, or 0.0.0.0 for shared egress',
    })
  } else if (!owned.ipv4.includes(fallback)) {
    const hint = didYouMean(fallback, [...owned.ipv4, '0.0.0.0'], 'it owns')
    problems.add(path, 'config.unowned_address', `the account owns no dedicated IPv4 \`${fallback}\``, { hint })
  }
}

function checkRange(range: string | undefined, primary: string, { path, problems, owned }: Check): void {
  if (range === undefined) {
    if (!owned.rangeOf.has(primary) && owned.ipv4.includes(primary)) {
      const message = `the rule needs \`ipv6\`, because the dedicated IP \`${primary}\` has no range of its own`
      problems.add(path, 'config.missing_key', message, { hint: didYouMean('', owned.ipv6, 'ranges the account owns') })
    }
    return
  }
  if (!owned.ipv6.includes(cidr(range).text)) {
    const hint = didYouMean(cidr(range).text, owned.ipv6, 'it owns')
    problems.add([...path, 'ipv6'], 'config.unowned_address', `the account owns no dedicated IPv6 range \`${range}\``, {
      hint,
    })
  }
}

function gatherOwned(raw: { readonly dedicated_ips: unknown }): OwnedRules {
  const items: unknown[] = Array.isArray(raw.dedicated_ips) ? raw.dedicated_ips : []
  const pairs = items.map((item) => ({
    ipv4: parseIp(String(Object(item).ipv4))?.text,
    ipv6: parseCidr(String(Object(item).ipv6))?.text,
  }))
  return {
    ipv4: pairs.flatMap(({ ipv4 }) => ipv4 ?? []),
    ipv6: pairs.flatMap(({ ipv6 }) => ipv6 ?? []),
    rangeOf: rangesOf(raw.dedicated_ips),
  }
}

function positionsOf({ list, path, rule }: Entry, { problems }: ReadingContext) {
  const file = list.problems === problems ? {} : { file: list.document.file }
  const start = ({ line, column }: SourcePosition): SourcePosition => Object.freeze({ ...file, line, column })
  const starts = EXPRESSION_SLOTS.filter((slot) => !isBlank(rule[SLOT_NAMES[slot]])).map(
    (slot) => [slot, start(list.document.locateText([...path, SLOT_NAMES[slot]]))] as const,
  )
  return {
    position: start(list.document.locate(path)),
    expressionPositions: Object.freeze(Object.fromEntries(starts)),
  }
}

interface PlacelessIssue extends Issue {
  readonly slot?: ExpressionSlot
  readonly problem?: ExpressionProblem
  /** of what is not a parsing error */
  readonly span?: Span
}

/** The same issue with file, line and column: of the problem's span if the expression's start is known, else of the
 *  rule. `file` is the configuration's; rules of another file name theirs. */
export function placeRuleIssue(issue: PlacelessIssue, rule: ConfiguredRule, file: string): Issue {
  const { slot, problem, span: found = problem?.span, ...given } = issue
  const bare = { ...given, rule: { id: rule.id, name: rule.name, precedence: rule.precedence } }
  const start = slot === undefined ? undefined : rule.expressionPositions[slot]
  if (slot === undefined || found === undefined || start === undefined) return { ...bare, ...at(rule.position, file) }
  const names = rule.writtenNames?.[slot] ?? []
  const [text, span] = [asWritten(rule[slot], names), writtenSpan(found, names)]
  const place = at(advance(start, text, span[0]), file)
  if (problem !== undefined) return { ...bare, drawing: drawProblem(text, { ...problem, span }), ...place }
  const { line, column } = positionOf(text, span[0])
  return { ...bare, drawing: drawLine(text.split('\n')[line - 1] ?? '', column, span[1] - span[0]), ...place }
}

function at(position: SourcePosition, file: string): Required<SourcePosition> {
  return { file: position.file ?? file, line: position.line, column: position.column }
}
