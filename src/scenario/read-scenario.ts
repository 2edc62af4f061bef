// A scenario file as a scenario whose parts know their place in it. Checks the shape and what is the same in every
// configuration; whether users, rules and networks exist is found out by check-names.ts.

import { dirname, isAbsolute, join } from 'node:path'
import type { ObservationExpectation } from '../analysis/scenario-timeline.ts'
import { checkShape } from '../config/check-shape.ts'
import { parseMomentMs, parsePeriodMs } from '../config/formats.ts'
import { createProblems, type Problems } from '../config/problems.ts'
import { type DocumentPath, readSourceDocument } from '../config/source-document.ts'
import { CONNECTION_ERRORS } from '../errors/catalogue.ts'
import { closest, didYouMean } from '../errors/did-you-mean.ts'
import { COLOS } from '../policy/place.ts'
import type {
  Complain,
  Scenario,
  ScenarioChange,
  ScenarioRequestStep,
  ScenarioRow,
  ScenarioTraffic,
  Step,
} from './scenario.ts'
import {
  type RawRow,
  type RawScenario,
  type RawStep,
  type RawTraffic,
  type RawVisit,
  SCENARIO,
} from './scenario-schema.ts'

/** More than a machine plays in minutes. */
const MAX_REQUESTS = 100_000

/** Reads a file. Never throws for what is in it: without a right shape there are issues and no steps. */
export function readScenario(file: string): Scenario {
  const document = readSourceDocument(file)
  const problems = createProblems(document)
  const written = String(Object(document.data).config ?? '')
  const config = { written, path: isAbsolute(written) ? written : join(dirname(file), written) }
  const data = structuredClone(document.data)
  if (document.issues.length === 0) checkShape(SCENARIO, data, problems)
  const complainOfConfig = (code: string, message: string) => problems.add(['config'], code, message)
  const nothing = { file, config, name: file, durationMs: 0, traffic: [], steps: [], complainOfConfig }
  if (document.issues.length > 0) return { ...nothing, issues: document.issues }
  if (problems.issues.length > 0) return { ...nothing, issues: problems.issues }
  return { ...readParts(data as RawScenario, problems), file, config, complainOfConfig, issues: problems.issues }
}

function readParts(raw: RawScenario, problems: Problems) {
  const defaults = raw.defaults ?? {}
  const steps = raw.steps.map((step, at) => readStep(step, at, defaults, problems))
  const last = Math.max(...steps.map(({ atMs }) => atMs))
  const durationMs = raw.duration === undefined ? last : momentOf(raw.duration)
  const read = raw.traffic.map((one, at) => readTraffic(one, at, { defaults, durationMs, problems }))
  for (const [at, { atMs }] of steps.entries()) {
    if (atMs > durationMs)
      problems.add(['steps', at, 'at'], 'scenario.too_late', 'this is after the end of the scenario')
  }
  const requests = read.reduce(
    (sum, { everyMs, fromMs, untilMs }) => sum + (untilMs - fromMs) / (everyMs ?? Infinity),
    0,
  )
  if (requests > MAX_REQUESTS) {
    const message = `${Math.round(requests)} requests are too many; a scenario has at most ${MAX_REQUESTS}`
    problems.add(['traffic'], 'scenario.too_long', message)
  }
  const startAt = raw.start === undefined ? {} : { startAt: Date.parse(raw.start) }
  return { name: raw.name, ...startAt, durationMs, traffic: read, steps }
}

function readTraffic(
  raw: RawTraffic,
  at: number,
  { defaults, durationMs, problems }: { defaults: RawVisit; durationMs: number; problems: Problems },
): ScenarioTraffic {
  const { every, hold, from, until, ...request } = raw
  const complain = complainAt(problems, ['traffic', at], request, defaults)
  if ((every === undefined) === (hold === undefined)) {
    complain([], 'scenario.bad_traffic', 'traffic needs either `every` or `hold`', 'write `every: 5s` or `hold: true`')
  }
  const fromMs = momentOf(from)
  const untilMs = until === undefined ? Math.max(durationMs, fromMs) : momentOf(until)
  if (untilMs < fromMs) complain(['until'], 'scenario.bad_traffic', 'it ends before it begins')
  const everyMs = every === undefined ? {} : { everyMs: parsePeriodMs(every) ?? 1 }
  return { request: readRequest(request, defaults, complain), ...everyMs, fromMs, untilMs, complain }
}

function readStep(raw: RawStep, at: number, defaults: RawVisit, problems: Problems): Step {
  const path = ['steps', at] as const
  const complain = complainAt(problems, path, {}, {})
  const rows = (raw.expect ?? []).map((row, nth) => readRow(row, [...path, 'expect', nth], defaults, problems))
  const expected = raw.expect_connections
  return {
    atMs: momentOf(raw.at),
    changes: changesOf(raw, complain),
    rows,
    ...(expected === undefined
      ? {}
      : { connections: { ...expected, line: problems.locate([...path, 'expect_connections']).line } }),
    complain,
  }
}

/** In the order in which a step's changes are made. */
function changesOf(raw: RawStep, complain: Complain): Step['changes'] {
  const { note, colo_down: down, colo_up: up, clock, vnet_use: choice, rule } = raw
  const found: { key: string; change: ScenarioChange }[] = []
  const add = (key: string, change: ScenarioChange) => found.push({ key, change })
  if (note !== undefined) add('note', { kind: 'note', text: note })
  if (down !== undefined) {
    const { colo, connections = 'keep' } = typeof down === 'string' ? { colo: down } : down
    const part = typeof down === 'string' ? ['colo_down'] : ['colo_down', 'colo']
    add('colo_down', { kind: 'colo', code: coloOf(colo, part, complain), up: false, reset: connections === 'reset' })
  }
  if (up !== undefined)
    add('colo_up', { kind: 'colo', code: coloOf(up, ['colo_up'], complain), up: true, reset: false })
  if (clock?.advance !== undefined) {
    add('clock', { kind: 'clock-advance', ms: parsePeriodMs(clock.advance) ?? 0, written: clock.advance })
  }
  if (clock?.set !== undefined) add('clock', { kind: 'clock-set', time: Date.parse(clock.set) })
  if (choice !== undefined) add('vnet_use', { kind: 'vnet-use', ...choice })
  for (const [word, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    const name = rule?.[word]
    if (name !== undefined) add('rule', { kind: 'rule', rule: name, enabled })
  }
  for (const kind of ['exit', 'stand-in'] as const) {
    for (const word of ['down', 'up'] as const) {
      const key = `${kind === 'exit' ? 'exit' : 'stand_in'}_${word}` as const
      const address = raw[key]
      if (address !== undefined) add(key, { kind, address, up: word === 'up' })
    }
  }
  return found
}

function readRow(raw: RawRow, path: DocumentPath, defaults: RawVisit, problems: Problems): ScenarioRow {
  const { destination, user, vnet, source_ip, device, endpoint, family, name, ...expect } = raw
  const own = Object.fromEntries(
    Object.entries({ destination, user, vnet, source_ip, device, endpoint, family }).filter(
      ([, it]) => it !== undefined,
    ),
  ) as RawVisit
  const complain = complainAt(problems, path, own, defaults)
  const request = readRequest(own, defaults, complain)
  if (Object.keys(expect).length === 0) {
    complain(
      [],
      'scenario.nothing_expected',
      'this row has no expectation',
      'add what to expect: `egress_ip`, `status` …',
    )
  }
  return {
    name: name ?? describe(request),
    line: problems.locate(path).line,
    request,
    expect: checked(expect, complain),
    complain,
  }
}

function checked(expect: ObservationExpectation, complain: Complain): ObservationExpectation {
  const upper = (['ingress_colo', 'physical_colo', 'logical_colo'] as const).flatMap((key) => {
    const code = expect[key]
    return typeof code === 'string' ? [[key, coloOf(code, [key], complain)] as const] : []
  })
  if (expect.error !== undefined && !Object.hasOwn(CONNECTION_ERRORS, expect.error)) {
    const hint = didYouMean(expect.error, Object.keys(CONNECTION_ERRORS))
    complain(['error'], 'scenario.unknown_error', `unknown error code \`${expect.error}\``, hint)
  }
  return { ...expect, ...Object.fromEntries(upper) }
}

function readRequest(own: RawVisit, defaults: RawVisit, complain: Complain): ScenarioRequestStep {
  const { destination = '', source_ip, family, ...rest } = { ...defaults, ...own }
  if (destination === '') {
    complain([], 'config.missing_key', '`destination` is missing here and in `defaults`')
  }
  return {
    destination,
    ...rest,
    ...(source_ip === undefined ? {} : { sourceIp: source_ip }),
    ...(family === undefined ? {} : { family: family === 4 ? '4' : '6' }),
  }
}

/** Complains of a part where it stands: of what comes from `defaults` there. */
function complainAt(problems: Problems, path: DocumentPath, own: object, defaults: object): Complain {
  return (part, code, message, hint) => {
    const [key = ''] = part
    const inherited = Object.hasOwn(defaults, key) && !Object.hasOwn(own, key)
    problems.add(inherited ? ['defaults', ...part] : [...path, ...part], code, message, { hint })
  }
}

function coloOf(text: string, part: readonly string[], complain: Complain): string {
  const code = text.toUpperCase()
  if (!COLOS.has(code)) {
    const guess = closest(code, COLOS.keys())
    const hint = guess === undefined ? 'run `egresslab colo list --all` to list them' : `did you mean \`${guess}\`?`
    complain(part, 'scenario.unknown_colo', `unknown data center \`${text}\``, hint)
  }
  return code
}

function momentOf(text: string): number {
  return parseMomentMs(text) ?? 0
}

/** `bob@example.com in vnet-AMER → http://bank.saas.test/` */
function describe({ user = 'nobody', vnet, device, destination }: ScenarioRequestStep): string {
  const network = vnet === undefined ? '' : ` in ${vnet}`
  return `${user}${device === undefined ? '' : ` on ${device}`}${network} → ${destination}`
}
