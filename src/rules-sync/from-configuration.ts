// Rules as configuration files have them: a whole lab, the three sections that `rules pull` writes, or a list of rules alone.
// All problems are reported together, with file, line and column.

import { dirname, join } from 'node:path'
import { checkLabShape, checkRuleListShape } from '../config/check-shape.ts'
import type { PortablePolicy, PortableRule } from '../config/portable-policy.ts'
import { createProblems } from '../config/problems.ts'
import type { RawConfig, RawRule } from '../config/raw-config.ts'
import { fromRawRule, rangesOf, rawPrecedences, rawRuleId } from '../config/rule-document.ts'
import { readSourceDocument, type SourceDocument } from '../config/source-document.ts'
import { stableUuid } from '../config/stable-id.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { listFrom, networkFrom } from './from-export.ts'

type Sections = Pick<RawConfig, 'rules' | 'lists' | 'virtual_networks' | 'dedicated_ips' | 'rules_file'>

/** The sections of a parsed document, or a list of rules as one of them. Throws an InputError with everything wrong in their
 *  shape, at its place. */
export function readSections(document: SourceDocument): Sections {
  return Array.isArray(document.data) ? onlyRules(ruleListOf(document)) : sectionsOf(document)
}

/** The policy in a parsed document. Throws an InputError. */
export function fromConfiguration(document: SourceDocument): PortablePolicy {
  const sections = readSections(document)
  const further =
    sections.rules_file === undefined
      ? []
      : ruleListOf(readSourceDocument(join(dirname(document.file), sections.rules_file)))
  const rules = portableRules([...sections.rules, ...further], rangesOf(sections.dedicated_ips))
  checkRanges(document.file, rules)
  return {
    source: document.file,
    rules,
    lists: sections.lists.map(({ id, name, type, items }) =>
      listFrom({ id: id?.toLowerCase() ?? stableUuid('list', name), name, type, items }),
    ),
    virtualNetworks: sections.virtual_networks.map(({ id, name, comment, default: isDefault }) =>
      networkFrom({
        id: id?.toLowerCase() ?? stableUuid('virtual-network', name.toLowerCase()),
        name,
        comment,
        is_default: isDefault || name === 'default',
      }),
    ),
    notes: [],
  }
}

function onlyRules(rules: readonly RawRule[]): Sections {
  return { rules, lists: [], virtual_networks: [], dedicated_ips: [] }
}

function ruleListOf(document: SourceDocument): readonly RawRule[] {
  const rules = structuredClone(document.data ?? [])
  const problems = createProblems(document)
  if (document.issues.length === 0) checkRuleListShape(rules, problems)
  refuseAny([...document.issues, ...problems.issues])
  return rules as readonly RawRule[]
}

function sectionsOf(document: SourceDocument): Sections {
  const data: unknown = { dedicated_ips: [], ...Object(structuredClone(document.data ?? {})) }
  const problems = createProblems(document)
  checkLabShape(data, problems)
  refuseAny(problems.issues)
  return data as RawConfig
}

function portableRules(raw: readonly RawRule[], ranges: ReadonlyMap<string, string>): PortableRule[] {
  const precedences = rawPrecedences(raw)
  return raw.map((rule, at) => {
    const precedence = precedences[at] ?? 0
    return { id: rawRuleId(rule), name: rule.name, precedence, fields: fromRawRule(rule, precedence, ranges) }
  })
}

/** Away from its lab a rule has to name its range itself. */
function checkRanges(file: string, rules: readonly PortableRule[]): void {
  const without = rules.filter(({ fields }) => {
    const egress: unknown = Object(fields.rule_settings).egress
    return egress !== undefined && Object(egress).ipv6 === undefined
  })
  refuseAny(
    without.map(({ name }) => ({
      severity: 'error',
      code: 'rules.no_range',
      message: `rule \`${name}\` has no \`ipv6\` range, and the file has no dedicated IP to take it from`,
      hint: 'add the range of the same location under `egress`',
      file,
    })),
  )
}

function refuseAny(issues: readonly Issue[]): void {
  if (issues.some(({ severity }) => severity === 'error')) throw new InputError(issues)
}
