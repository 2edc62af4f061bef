// Renders an explanation for people: the verdict first, then the rule that decided, with its parts, and what nearly happened
// instead. Everything else is shown on demand.

import { allowlistJson, type Explained } from '../../decider/explain-connection.ts'
import { formatEndpoint } from '../../net/endpoint.ts'
import type { ExplainedDecision, Explanation, PartTrace, RuleTrace } from '../../policy/explain.ts'
import type { Place } from '../../policy/place.ts'
import type { TextStyles } from '../terminal.ts'

export interface ExplanationView {
  /** everything, not only what answers the question */
  readonly full: boolean
  readonly style: TextStyles
}

/** The drawing, ending in a line feed: the verdict, the rule that decided, what is near; in full every rule, the path and
 *  the plan. Further addresses of the destination have one line each. */
export function renderExplanation(
  [first, ...others]: readonly [Explained, ...Explained[]],
  { full, style }: ExplanationView,
): string {
  const { explanation, names } = first
  const { trace, decision, plan } = explanation
  const deciding = trace.filter(({ matched }) => matched)
  return [
    ...decisionLines(first, style),
    ...(full ? pathLines(decision) : []),
    ...tunnelLines(first, style),
    ...(full || decision.egress === null || decision.egress.fallback ? planLines(plan) : []),
    ...nearMissLines(explanation, names, style),
    ...others.map((other) => otherLine(other, style)),
    '',
    ...headLines(first, style),
    ...(full || deciding.length > 0 ? [''] : []),
    ...(full ? trace : deciding).flatMap((rule) => ruleLines(rule, names, style)),
    ...(full && trace.length === 0 ? [style.dim('  no rules')] : []),
    '',
  ].join('\n')
}

function headLines({ flow, candidate, virtualNetwork, refusedBy }: Explained, style: TextStyles): string[] {
  const { destination, host } = flow
  const to = host === undefined ? '' : `${style.strong(host)} at `
  const cloud = candidate.proxiedByCloudflare ? ', proxied by Cloudflare' : ''
  const who = flow.identity?.email ?? 'no user'
  const device = flow.device === undefined ? '' : ` on ${flow.device.name}`
  return [
    `from  ${style.strong(who)}${device}, ${flow.source.ip.text}${inPlace(flow.userPlace ?? flow.sourcePlace)}, virtual network ${virtualNetwork}`,
    ...(refusedBy === undefined
      ? []
      : [
          `      ${style.warn(`the listener \`${refusedBy}\` answers 407 to who does not log in; \`--user EMAIL\` names somebody`)}`,
        ]),
    `to    ${to}${destination.ip.text} port ${destination.port}/${flow.transport}${inPlace(candidate.place)}${cloud}`,
  ]
}

function inPlace(place: Place | undefined): string {
  const named = [place?.city, place?.country].filter((part) => part !== undefined)
  return named.length === 0 ? '' : ` in ${named.join(' ')}`
}

/** A rule that matched shows all its parts; one that did not, the parts that kept it from matching. */
function ruleLines(rule: RuleTrace, names: Names, style: TextStyles): string[] {
  const mark = rule.matched ? style.good('✓') : rule.skipped === null ? style.bad('✗') : style.dim('·')
  const name = rule.matched ? style.strong(rule.rule) : rule.rule
  const head = `${mark} ${String(rule.precedence).padStart(6)}  ${name}`
  if (rule.skipped !== null) return [style.dim(`${head}  (${rule.skipped})`)]
  const shown = Object.entries(rule.expressions).filter(([, { result }]) => rule.matched || !result)
  const parts = shown.flatMap(([slot, { parts: all }]) =>
    all.filter(({ decisive }) => rule.matched || decisive).map((part) => partLine(slot, part, names, style)),
  )
  return [head, ...(parts.length === 0 ? [style.dim('           no conditions: matches everything')] : parts)]
}

type Names = Explained['names']
const ID = /["$]([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"?/gi

/** Ids with the names of what they are: `"7ec4e08c-…" (vnet-AMER)`. */
function withNames(text: string, names: Names): string {
  return text.replaceAll(ID, (written, id: string) => {
    const name = names.get(id.toLowerCase())
    return name === undefined ? written : `${written} (${name})`
  })
}

function partLine(
  slot: string,
  { text, result, field, value, note }: PartTrace,
  names: Names,
  style: TextStyles,
): string {
  const verdict = result ? style.good('true ') : style.bad('false')
  const seen =
    field === null
      ? ''
      : style.dim(
          `   ${field} ${value === null ? `has no value${note === undefined ? '' : `: ${note}`}` : `is ${withNames(JSON.stringify(value), names)}`}`,
        )
  return `           ${slot.padEnd(14)} ${verdict}  ${withNames(text, names)}${seen}`
}

/** The verdict: from where, whether the destination lets that in, and why. */
function decisionLines(explained: Explained, style: TextStyles): string[] {
  const { egress, outcome, reason } = explained.explanation.decision
  const address = egress?.ipv4 ?? egress?.ipv6
  return [
    ...(egress === null ? [] : [`egress   ${style.good(address ?? '')}  ${style.dim(`bound here as ${egress.bind}`)}`]),
    ...serviceLines(explained, style),
    `why      ${reason}`,
    `outcome  ${egress === null ? style.bad(outcome) : style.good(outcome)}`,
  ]
}

function serviceLines(explained: Explained, style: TextStyles): string[] {
  const answer = allowlistJson(explained)
  if (answer === null) return []
  const { service, allow, let_in } = answer
  if (let_in) return [`service  ${style.good(`${service} lets in`)}`]
  return [`service  ${style.bad(`${service} refuses`)} (allows ${allow.join(', ')})`]
}

function pathLines({ ingress_colo, physical_colo, logical }: ExplainedDecision): string[] {
  const where = logical === null ? '' : [logical.city, logical.country].filter((part) => part !== null).join(' ')
  const out = physical_colo === null ? '' : `, out at ${physical_colo}`
  return [`path     in at ${ingress_colo}${out}${where === '' ? '' : `, seen in ${where}`}`]
}

function tunnelLines({ candidate: { tunnel, dial } }: Explained, style: TextStyles): string[] {
  if (tunnel === undefined) return []
  const reached = {
    'stand-in': `dialled at ${formatEndpoint(dial)}`,
    upstream: 'through its upstream proxy',
    nothing: style.bad('without an upstream: the connection fails'),
  }
  return [`tunnel   ${tunnel.name}, ${reached[tunnel.by]}`]
}

function planLines(plan: Explanation['plan']): string[] {
  if (plan.length < 2) return []
  const steps = plan.map(({ from, written, colo, verdict }) => {
    const at = colo === undefined ? '' : ` at ${colo}`
    return `${from} ${written === '' ? '(none)' : written}${at}: ${verdict.replaceAll('-', ' ')}`
  })
  return [`plan     ${steps.join(' → ')}`]
}

function nearMissLines({ near_misses }: Explanation, names: Names, style: TextStyles): string[] {
  return near_misses.map(({ rule, parts }) => {
    const alternatives = parts.map(({ text }) => withNames(text, names)).join(' or ')
    return `${style.warn('near')}     rule \`${rule}\` lacks only: ${alternatives}`
  })
}

function otherLine({ flow, explanation: { decision } }: Explained, style: TextStyles): string {
  const address = decision.egress?.ipv4 ?? decision.egress?.ipv6 ?? 'nowhere'
  return `${style.dim('also')}     to ${flow.destination.ip.text}: ${decision.outcome}, ${address}`
}
