// Rules as configuration files have them: a whole lab, the three sections that `rules pull` writes, or a list of rules alone.
// All problems are reported together, with file, line and column.

import { dirname, join } from 'node:path'
import { type RawRule, RULE_LIST } from '../config/account-schema.ts'
import { checkShape } from '../config/check-shape.ts'
import { LAB, type RawConfig } from '../config/lab-schema.ts'
import { configuredId, gatherNames, type Names } from '../config/names.ts'
import { createProblems, type Problems } from '../config/problems.ts'
import { expandRule, fromRawRule, rangesOf, rawPrecedences, rawRuleId } from '../config/rule-document.ts'
import { type DocumentPath, readSourceDocument, type SourceDocument } from '../config/source-document.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { listFrom, networkFrom } from './from-export.ts'
import type { PortablePolicy, PortableRule } from './portable-policy.ts'

type Sections = Pick<RawConfig, 'rules' | 'lists' | 'virtual_networks' | 'dedicated_ips' | 'rules_file'>

/** The sections of a parsed document, or a list of rules as one of them, with ids in place of names. Throws an InputError with
 *  everything wrong in their shape, at its place. */
export function readSections(document: SourceDocument, names: Names = gatherNames(document.data)): Sections {
  return Array.isArray(document.data) ? onlyRules(ruleListOf(document, names)) : sectionsOf(document, names)
}

/** The policy in a parsed document. Throws an InputError. */
export function fromConfiguration(document: SourceDocument): PortablePolicy {
  const names = gatherNames(document.data)
  const sections = readSections(document, names)
  const further =
    sections.rules_file === undefined
      ? []
      : ruleListOf(readSourceDocument(join(dirname(document.file), sections.rules_file)), names)
  const rules = portableRules([...sections.rules, ...further], rangesOf(sections.dedicated_ips))
  checkRanges(document.file, rules)
  return {
    source: document.file,
    rules,
    lists: sections.lists.map(({ id, name, type, items }) =>
      listFrom({ id: configuredId('lists', { id, name }), name, type, items }),
    ),
    virtualNetworks: sections.virtual_networks.map(({ id, name, comment, default: isDefault }) =>
      networkFrom({
        id: configuredId('virtual_networks', { id, name }),
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

function ruleListOf(document: SourceDocument, names: Names): readonly RawRule[] {
  const rules = structuredClone(document.data ?? [])
  const problems = createProblems(document)
  if (document.issues.length === 0) checkShape(RULE_LIST, rules, problems)
  refuseAny([...document.issues, ...problems.issues])
  return withIds(rules as readonly RawRule[], names, { path: [], problems })
}

function sectionsOf(document: SourceDocument, names: Names): Sections {
  const data: unknown = { dedicated_ips: [], ...Object(structuredClone(document.data ?? {})) }
  const problems = createProblems(document)
  checkShape(LAB, data, problems)
  refuseAny(problems.issues)
  const raw = data as RawConfig
  return { ...raw, rules: withIds(raw.rules, names, { path: ['rules'], problems }) }
}

/** Away from its lab a rule has ids only. */
function withIds(
  rules: readonly RawRule[],
  names: Names,
  { path, problems }: { readonly path: DocumentPath; readonly problems: Problems },
): readonly RawRule[] {
  const expanded = rules.map((rule, at) => expandRule(rule, names, { path: [...path, at], problems }).rule)
  refuseAny(problems.issues)
  return expanded
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
