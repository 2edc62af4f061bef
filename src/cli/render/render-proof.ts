// Renders answers to questions about every connection: a sentence each, and for what is refuted a connection that shows
// it, explained.

import { junitReport } from '../../analysis/junit.ts'
import { ownVersion } from '../../config/own-package.ts'
import { counted } from '../../errors/counted.ts'
import { type Answer, explainWitness } from '../../prove/answer.ts'
import type { PolicyComparison, Region, RegionSide } from '../../prove/compare.ts'
import type { Witness } from '../../prove/proof.ts'
import type { ReachFinding } from '../../prove/reach.ts'
import { shellWord } from '../shell-word.ts'
import { PLAIN, type TextStyles } from '../terminal.ts'

/** One answer, ending in a line feed. `again`: the arguments of `egresslab explain` that show the same connection. */
export function renderAnswer(answer: Answer, style: TextStyles, again?: readonly string[]): string {
  const { name, answer: verdict, reason, ms, witness } = answer
  const time = style.dim(`${Math.round(ms)} ms`)
  if (verdict === 'proven') return `${style.good('proven')}     ${name}  ${time}\n`
  if (verdict === 'undecided') return `${style.warn('undecided')}  ${name}: ${reason}  ${time}\n`
  const head = `${style.bad('refuted')}    ${name}: ${reason}  ${time}`
  const lines = witness === null ? [] : witnessLines(witness, style, again)
  return [head, ...lines, ''].join('\n')
}

/** A connection with its decision, indented. */
function witnessLines(witness: Witness, style: TextStyles, again?: readonly string[]): string[] {
  const { decision } = explainWitness(witness)
  const egress = decision.egress?.ipv4 ?? decision.egress?.ipv6 ?? 'nowhere'
  return [
    ...whoLines(witness, style),
    `  leaves   ${style.strong(egress)}  ${style.dim(decision.outcome)}`,
    `  why      ${decision.reason}`,
    ...(again === undefined ? [] : [`  again    ${['egresslab', 'explain', ...again].map(shellWord).join(' ')}`]),
  ]
}

function whoLines({ flow, colosDown, snapshots }: Witness, style: TextStyles): string[] {
  const { identity, device, host, destination, source, transport } = flow
  const groups = identity?.groups.map(({ name }) => name || 'a group without a name') ?? []
  const attributes = [...(identity?.samlAttributes ?? []), ...(identity?.oidcClaims ?? [])].flatMap(([key, all]) =>
    all.map((value) => `${key}=${value}`),
  )
  const facts = [...groups, ...attributes]
  const who = identity === undefined ? 'nobody in particular' : identity.email || 'somebody without an email'
  const network = snapshots[0]?.account.virtualNetworks.find(({ id }) => id === flow.virtualNetworkId)?.name
  const to = host === undefined ? destination.ip.text : `${host} at ${destination.ip.text}`
  const from = [
    `${who}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}${device === undefined ? '' : ` on ${device.name}`}`,
    source.ip.text,
    ...(network === undefined ? [] : [`virtual network ${network}`]),
  ]
  return [
    `  from     ${from.join(', ')}`,
    `  to       ${style.strong(to)} port ${destination.port}/${transport}`,
    ...(colosDown.length === 0
      ? []
      : [`  while    ${colosDown.join(', ')} ${colosDown.length === 1 ? 'is' : 'are'} down`]),
  ]
}

/** `3 proven, 1 refuted`; `left`: questions that were not asked. */
export function renderTally(answers: readonly Answer[], style: TextStyles, left = 0): string {
  const count = (wanted: Answer['answer']) => answers.filter(({ answer }) => answer === wanted).length
  const parts = [
    [count('proven'), 'proven', style.good],
    [count('refuted'), 'refuted', style.bad],
    [count('undecided'), 'not decided', style.warn],
    [left, 'not asked', style.warn],
  ] as const
  const shown = parts.filter(([number]) => number > 0).map(([number, word, paint]) => paint(`${number} ${word}`))
  return `${shown.join(', ') || counted(0, 'question')}\n`
}

/** Two policies compared: what changes, and that nothing else does. */
export function renderComparison({ isSame, reason, regions, ms }: PolicyComparison, style: TextStyles): string {
  const time = style.dim(`${Math.round(ms)} ms`)
  if (isSame === true) return `${style.good('same')}     ${reason}  ${time}\n`
  const count = `${counted(regions.length, 'region')} ${regions.length === 1 ? 'changes' : 'change'}`
  const last =
    isSame === undefined
      ? `${style.warn('not decided')}: ${regions.length === 0 ? '' : `${count} at least; `}${reason}`
      : `${style.bad(count)}; ${reason}`
  const pairs = Map.groupBy(regions, ({ before, after }) => `${sideText(before)} → ${sideText(after)}`)
  const shown = [...pairs].map(([pair, own]) => `${style.warn('changed')}  ${pair}\n${renderRegions(own, style)}`)
  return `${shown.join('')}${last}  ${time}\n`
}

/** Regions of one pair of rules: each with what changes and when, and one connection for all. */
function renderRegions(regions: readonly Region[], style: TextStyles): string {
  const lines = regions.flatMap((region, at) => {
    const { before, after, condition } = region
    const isNew = at === 0 || condition !== regions[at - 1]?.condition
    return [
      ...(isNew ? [`  when     ${condition ?? style.warn('not told within the time limit')}`] : []),
      `  leaves   ${before.egress} → ${style.strong(after.egress)}${meanwhileOf(region)}`,
    ]
  })
  const [first] = regions
  return `${[...lines, ...(first === undefined ? [] : whoLines(first.witness, style))].join('\n')}\n`
}

function meanwhileOf({ down, up }: Region): string {
  const parts = [
    ...(down.length === 0 ? [] : [`${down.join(', ')} ${down.length === 1 ? 'is' : 'are'} down`]),
    ...(up.length === 0 ? [] : [`${up.join(', ')} ${up.length === 1 ? 'is' : 'are'} up`]),
  ]
  return parts.length === 0 ? '' : `, while ${parts.join(' and ')}`
}

function sideText({ rule, egress }: RegionSide): string {
  if (rule !== null) return `rule \`${rule.name}\` (precedence ${rule.precedence})`
  return egress === 'exempt' ? 'exempt' : 'no rule'
}

/** One thing that was found about a policy. */
export function renderFinding(finding: ReachFinding, style: TextStyles): string {
  const rule =
    'rule' in finding && finding.rule !== null
      ? `rule \`${finding.rule.name}\` (precedence ${finding.rule.precedence})`
      : ''
  switch (finding.kind) {
    case 'never-reached': {
      const names = finding.by.map(({ name, precedence }) => `\`${name}\` (precedence ${precedence})`)
      const why =
        names.length === 0
          ? 'its conditions exclude each other'
          : `${names.join(', ')} ${names.length === 1 ? 'matches' : 'together match'} whenever it would`
      return `${style.bad('dead')}       ${rule} is never reached: ${why}\n`
    }
    case 'changes-nothing':
      return `${style.warn('idle')}       ${rule} changes nothing: without it every connection leaves as before\n`
    case 'only-in-outages':
      return `${style.warn('outages')}    ${rule} matters only while a data center is down\n${witnessText(finding.witness, style)}`
    case 'overlap': {
      const names = finding.by.map(({ name, precedence }) => `\`${name}\` (precedence ${precedence})`)
      return `${style.accent('overlap')}    ${rule} also matches connections that ${names.join(', ')} ${names.length === 1 ? 'sends' : 'send'} elsewhere\n${witnessText(finding.witness, style)}`
    }
    case 'gap':
      return `${style.warn('gap')}        there are connections that no rule decides\n${witnessText(finding.witness, style)}`
    case 'two-countries':
      return `${style.warn('countries')}  ${rule} sends people from ${finding.ipv4} over IPv4 and from ${finding.ipv6} over IPv6\n${witnessText(finding.witness, style)}`
    case 'undecided':
      return `${style.warn('undecided')}  ${rule === '' ? 'connections without a rule' : rule}: ${finding.reason}\n`
  }
}

function witnessText(witness: Witness, style: TextStyles): string {
  return `${witnessLines(witness, style).join('\n')}\n`
}

/** Answers as a JUnit report, a case each: what is refuted fails, and what is not decided unless that is allowed. */
export function junitOfAnswers(answers: readonly Answer[], allowsUndecided = false): string {
  const cases = answers.map((answer) => ({
    name: answer.name,
    file: answer.file ?? '',
    line: answer.line ?? 1,
    passed: answer.answer === 'proven' || (allowsUndecided && answer.answer === 'undecided'),
    differences: [{ what: 'answer', expected: 'proven', found: `${answer.answer}: ${answer.reason}` }],
    durationMs: answer.ms,
    answer,
  }))
  const files = [...Map.groupBy(cases, ({ file }) => file)].map(([file, own]) => ({ file, cases: own }))
  return junitReport({ files }, ({ answer }) => renderAnswer(answer, PLAIN), 'egresslab prove')
}

/** Answers that are not `proven` as a SARIF 2.1.0 log, at the places where the questions are written. */
export function sarifOfAnswers(answers: readonly Answer[]): string {
  const results = answers
    .filter(({ answer }) => answer !== 'proven')
    .map((answer) => ({
      ruleId: `prove.${answer.answer}`,
      level: answer.answer === 'refuted' ? 'error' : 'warning',
      message: { text: renderAnswer(answer, PLAIN).trim() },
      ...(answer.file === undefined ? {} : { locations: [locationOf(answer.file, answer.line ?? 1)] }),
    }))
  const driver = {
    name: 'egresslab',
    version: ownVersion(),
    rules: [{ id: 'prove.refuted' }, { id: 'prove.undecided' }],
  }
  const schema = 'https://json.schemastore.org/sarif-2.1.0.json'
  return `${JSON.stringify({ $schema: schema, version: '2.1.0', runs: [{ tool: { driver }, results }] }, null, 2)}\n`
}

function locationOf(file: string, line: number) {
  return { physicalLocation: { artifactLocation: { uri: file }, region: { startLine: line } } }
}
