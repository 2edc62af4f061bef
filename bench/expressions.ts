// `npm run bench -- expressions`: what one expression costs to evaluate, and to parse and compile: processor time, beside
// what the open engine (Rust, release build) took for tests of the same kind on a machine of the same class.

import { compileExpression, parseExpression } from '../src/expression/index.ts'
import type { FieldValues } from '../src/expression/value.ts'
import { ip } from '../src/net/ip.ts'
import { GATEWAY_SCHEME } from '../src/policy/fields.ts'
import { inTurns, processorNs, type Rounds, shown } from './processor-time.ts'
import { keepResults, table } from './report.ts'

interface Subject {
  readonly source: string
  /** nanoseconds of one evaluation by the engine, where somebody measured the kind */
  readonly engineNs?: string
}

const SUBJECTS: readonly Subject[] = [
  { source: 'net.dst.port == 443', engineNs: '3.3' },
  { source: 'net.dst.port >= 1024', engineNs: '3.3' },
  { source: 'net.dst.port in {80 443}' },
  { source: 'net.dst.port in {80 443 8000..8999}' },
  { source: 'net.dst.ip == 10.1.2.3' },
  { source: 'net.dst.ip in {10.0.0.0/8 192.0.2.0/24}' },
  { source: 'net.vnet_id == "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"', engineNs: '4.5' },
  { source: 'net.fqdn.host == "www.example.com"', engineNs: '4.5' },
  { source: 'net.dst.geo.country in {"DE" "NL" "FR" "GB" "US"}' },
  { source: 'identity.email == "person-7@example.com"', engineNs: '4.5' },
  { source: 'identity.email in {"a@example.com" "b@example.com" "person-7@example.com"}' },
  { source: 'any(identity.groups.name[*] == "group-7")', engineNs: '15–49' },
  { source: 'any(identity.groups.name[*] in {"Finance" "group-7"})', engineNs: '15–49' },
  { source: 'any(net.fqdn.domains[*] == "example.com")', engineNs: '15–49' },
  { source: 'any(net.fqdn.domains[*] in {"example.org" "example.com"})', engineNs: '15–49' },
  { source: 'net.fqdn.host matches r"\\.example\\.com$"', engineNs: '15–49' },
  { source: 'net.fqdn.host matches r"^(.*\\.)?example\\.com$"', engineNs: '15–49' },
  { source: 'net.fqdn.host wildcard "*.example.com"', engineNs: '15–49' },
  { source: 'net.fqdn.host matches r"^(www|api)[0-9]*\\.example\\."' },
  {
    source:
      'net.dst.port == 443 and net.vnet_id == "f174e90a-fafe-4643-bbbc-4a0ed4fc8415" and not(net.protocol == "udp")',
  },
]

/** Connections in turn, half of which match most of the expressions. */
const CONNECTIONS = 64
const EVALUATIONS = 400_000
const PARSES = 4000

export async function benchExpressions(tag: string): Promise<void> {
  const connections = Array.from({ length: CONNECTIONS }, (_, at) => valuesOf(at))
  const evaluating: Record<string, () => number> = { 'an empty call': evaluate(() => true, connections) }
  const parsing: Record<string, () => number> = {}
  for (const { source } of SUBJECTS) {
    const parsed = parseExpression(source, GATEWAY_SCHEME)
    if (!parsed.ok) throw new Error(`${source}: ${parsed.problems[0]?.message}`)
    evaluating[source] = evaluate(compileExpression(parsed.expression), connections)
    parsing[source] = parse(source)
  }
  const [evaluated, parsed] = [inTurns(evaluating), inTurns(parsing)]
  const rows = [['an empty call', shownIn(evaluated, 'an empty call', 1), '', '']].concat(
    SUBJECTS.map(({ source, engineNs = '' }) => [
      `\`${source.replaceAll('|', '\\|')}\``,
      shownIn(evaluated, source, 1),
      engineNs,
      shownIn(parsed, source, 0),
    ]),
  )
  process.stdout.write(table(['expression', 'evaluate, ns', 'the engine, ns', 'parse and compile, ns'], rows))
  await keepResults(tag, 'expressions', { evaluated, parsed })
}

function shownIn(figures: Readonly<Record<string, Rounds>>, name: string, digits: number): string {
  const found = figures[name]
  return found === undefined ? '' : shown(found, digits)
}

function evaluate(matches: (values: FieldValues, lists: Map<string, never>) => boolean, connections: FieldValues[]) {
  const lists = new Map<string, never>()
  let matched = 0
  return () => {
    const spent = processorNs(() => {
      for (let at = 0; at < EVALUATIONS; at++) if (matches(connections[at % CONNECTIONS] ?? [], lists)) matched++
    })
    // used, so that no evaluation can be optimised away
    return matched < 0 ? Number.NaN : spent / EVALUATIONS
  }
}

function parse(source: string): () => number {
  return () => {
    let parsed = 0
    const spent = processorNs(() => {
      for (let at = 0; at < PARSES; at++) {
        const result = parseExpression(source, GATEWAY_SCHEME)
        if (result.ok && typeof compileExpression(result.expression) === 'function') parsed++
      }
    })
    return (spent / PARSES) * (parsed / PARSES)
  }
}

/** Texts as they come from the wire: none the same object as one in an expression. */
function valuesOf(number: number): FieldValues {
  const isOne = number % 2 === 0
  const host = wire(isOne ? 'www.example.com' : `www.example-${number}.org`)
  const named: Readonly<Record<string, FieldValues[number]>> = {
    'net.dst.ip': ip(isOne ? '10.1.2.3' : `172.16.0.${number}`),
    'net.dst.port': isOne ? 443 : 1000 + number,
    'net.dst.geo.country': wire(isOne ? 'NL' : 'JP'),
    'net.protocol': 'tcp',
    'net.vnet_id': wire(isOne ? 'f174e90a-fafe-4643-bbbc-4a0ed4fc8415' : 'a0000000-fafe-4643-bbbc-4a0ed4fc8415'),
    'net.fqdn.host': host,
    'net.fqdn.domains': host.split('.').map((_, at, labels) => labels.slice(at).join('.')),
    'identity.email': wire(isOne ? 'person-7@example.com' : `person-${number}@example.com`),
    'identity.groups.name': [wire('Staff'), wire('London'), wire(isOne ? 'group-7' : `group-${number}`)],
  }
  const values = new Array<FieldValues[number]>(GATEWAY_SCHEME.fields.size).fill(undefined)
  for (const { name, slot } of GATEWAY_SCHEME.fields.values()) values[slot] = named[name]
  return values
}

function wire(text: string): string {
  return Buffer.from(text).toString('latin1')
}
