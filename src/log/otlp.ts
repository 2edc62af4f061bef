// OpenTelemetry: metrics and logs pushed over OTLP/HTTP, as JSON. The SDK models, gathers and encodes them; they are sent by a client
// of our own, so that a receiver that is away or silent costs bounded memory, one line in the log, and never a connection its time.

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type AnyValue, type Context, ROOT_CONTEXT, SeverityNumber, trace, ValueType } from '@opentelemetry/api'
import type { ExportResult } from '@opentelemetry/core'
import { JsonLogsSerializer, JsonMetricsSerializer } from '@opentelemetry/otlp-transformer'
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { BatchLogRecordProcessor, LoggerProvider, type ReadableLogRecord } from '@opentelemetry/sdk-logs'
import {
  AggregationTemporality,
  type CollectionResult,
  DataPointType,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics'
import { Agent, request } from 'undici'
import type { OtlpSettings } from '../config/lab-config.ts'
import { counted } from '../errors/counted.ts'
import { messageOf } from '../errors/thrown.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { EventDetails } from './event-log.ts'

export type MetricSample = readonly [labels: Readonly<Record<string, string>>, value: number]

/** One metric with everything it counts now. `buckets`: how many values lie above the bound before and not above this one; the last
 *  has those above every bound. */
export type MetricFamily = { readonly name: string; readonly help: string } & (
  | { readonly type: 'counter' | 'gauge'; readonly samples: readonly MetricSample[] }
  | {
      readonly type: 'histogram'
      readonly bounds: readonly number[]
      readonly buckets: readonly number[]
      readonly count: number
      readonly sum: number
    }
)

export interface Otlp {
  /** Takes a finished session. Never blocks, never throws. */
  session(record: SessionRecord): void
  /** Takes an event of the lab itself. Never blocks, never throws. */
  event(level: 'info' | 'warn' | 'error', message: string, details: EventDetails, error?: unknown): void
  /** From now on these metrics are sent, every interval. */
  measure(families: () => Promise<readonly MetricFamily[]>): void
  /** Sends the metrics once more, for the last time. */
  endMetrics(deadlineMs: number): Promise<void>
  /** Sends what waits, for at most so long; the rest is lost. */
  close(deadlineMs: number): Promise<void>
}

export interface OtlpOptions {
  readonly version: string
  /** Takes what the operator should know: one line, no secrets. */
  readonly onProblem: (message: string) => void
}

/** Log records that may wait; then new ones are lost. */
const MOST_WAITING = 2048
const MOST_IN_A_BATCH = 512
/** until a receiver has answered */
const ANSWER_MS = 10_000
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000
/** of an answer, which says little */
const MOST_ANSWER_BYTES = 65_536
/** ours ends a batch, not the SDK's */
const NEVER_MS = 2 ** 31 - 1

/** Starts what the configuration asks for. Nothing global is touched: each lab of a process has its own. */
export function startOtlp(settings: OtlpSettings, { version, onProblem }: OtlpOptions): Otlp {
  const sender = new Sender(settings, onProblem)
  const scope = { name: 'egresslab', version }
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': 'egresslab',
        'service.version': version,
        'service.instance.id': randomUUID(),
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }))
  const logs = settings.logs ? logsOver(sender, resource, scope) : undefined
  let metrics: MeterProvider | undefined
  return {
    session: (record) => logs?.session(record),
    event: (level, message, details, error) => logs?.event(level, message, details, error),
    measure(families) {
      if (settings.metrics)
        metrics = metricsOver(sender, { resource, scope, intervalMs: settings.intervalMs, families })
    },
    async endMetrics(deadlineMs) {
      await within(deadlineMs, metrics?.shutdown())
      metrics = undefined
    },
    async close(deadlineMs) {
      await within(deadlineMs, logs?.close())
      await sender.destroy()
    },
  }
}

interface Scope {
  readonly name: string
  readonly version: string
}

function within(deadlineMs: number, work: Promise<unknown> | undefined): Promise<unknown> {
  const limit = new AbortController()
  const done = (work ?? Promise.resolve()).catch(() => undefined).finally(() => limit.abort())
  return Promise.race([done, delay(deadlineMs, undefined, limit).catch(() => undefined)])
}

function logsOver(sender: Sender, resource: Resource, scope: Scope) {
  /** handed to the SDK, and not yet taken from it */
  let waiting = 0
  const exporter = {
    export(records: ReadableLogRecord[], done: (result: ExportResult) => void) {
      waiting -= records.length
      const bytes = JsonLogsSerializer.serializeRequest(records)
      // whatever became of it has been told
      void sender.deliver('logs', bytes, records.length).finally(() => done({ code: 0 }))
    },
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  }
  const limits = { maxQueueSize: MOST_WAITING, maxExportBatchSize: MOST_IN_A_BATCH, exportTimeoutMillis: NEVER_MS }
  const provider = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter, ...limits })] })
  const logger = provider.getLogger(scope.name, scope.version)
  const emit = (record: Parameters<typeof logger.emit>[0]) => {
    if (waiting >= MOST_WAITING) {
      sender.lost++
      return
    }
    waiting++
    // by the machine's clock: receivers refuse what the lab's may say, and the record has that
    const now = Date.now()
    logger.emit({ timestamp: now, observedTimestamp: now, ...record })
  }
  return {
    session: (record: SessionRecord) => emit(logRecordOf(record)),
    event(level: 'info' | 'warn' | 'error', message: string, details: EventDetails, error?: unknown) {
      const thrown = error instanceof Error ? exceptionOf(error) : {}
      emit({ ...SEVERITIES[level], body: message, attributes: { ...details, ...thrown }, context: ROOT_CONTEXT })
    },
    close() {
      sender.hurry()
      return provider.shutdown()
    },
  }
}

const SEVERITIES = {
  info: { severityNumber: SeverityNumber.INFO, severityText: 'INFO' },
  warn: { severityNumber: SeverityNumber.WARN, severityText: 'WARN' },
  error: { severityNumber: SeverityNumber.ERROR, severityText: 'ERROR' },
} as const

/** The names of OpenTelemetry's semantic conventions. */
function exceptionOf({ name, message, stack = '' }: Error) {
  return { 'exception.type': name, 'exception.message': message, 'exception.stacktrace': stack }
}

/** The body is the record; the attributes are what people search by, under the names of the semantic conventions where there are some. */
function logRecordOf(record: SessionRecord) {
  const { Lab } = record
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(Lab.target) ?? []
  const attributes = {
    'session.id': record.SessionID,
    'user.email': record.Email,
    'client.address': record.SourceIP,
    'client.port': record.SourcePort,
    'server.address': host,
    'server.port': Number(port),
    'network.transport': record.Protocol.toLowerCase(),
    'error.type': Lab.error?.code ?? '',
    'egresslab.egress.address': record.EgressIP,
    'egresslab.egress.colo': record.EgressColoName,
    'egresslab.rule.id': record.EgressRuleID,
    'egresslab.rule.name': record.EgressRuleName,
    'egresslab.virtual_network': Lab.virtualNetworkName,
    'egresslab.outcome': Lab.outcome ?? '',
  }
  return {
    ...SEVERITIES[Lab.error === undefined ? 'info' : 'warn'],
    eventName: 'egresslab.session',
    body: withoutAbsent(record) as AnyValue,
    attributes: Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== '' && value !== 0)),
    context: contextOf(Lab.traceparent),
  }
}

function withoutAbsent(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutAbsent)
  if (typeof value !== 'object' || value === null) return value
  const present = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(present.map(([name, member]) => [name, withoutAbsent(member)]))
}

/** What a log record is joined with its trace by. */
function contextOf(traceparent: string | undefined): Context {
  const [, traceId = '', spanId = '', flags = ''] = traceparent?.split('-') ?? []
  if (traceId === '') return ROOT_CONTEXT
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true })
}

interface Measuring {
  readonly resource: Resource
  readonly scope: Scope
  readonly intervalMs: number
  readonly families: () => Promise<readonly MetricFamily[]>
}

function metricsOver(sender: Sender, { resource, scope, intervalMs, families }: Measuring): MeterProvider {
  const startTime = timeOf(Date.now())
  const collect = async (): Promise<CollectionResult> => {
    const span = { startTime, endTime: timeOf(Date.now()) }
    const metrics = (await families()).map((family) => metricData(family, span))
    return { resourceMetrics: { resource, scopeMetrics: [{ scope, metrics }] }, errors: [] }
  }
  const exporter = {
    export(collected: ResourceMetrics, done: (result: ExportResult) => void) {
      // what is not delivered is part of the next: counters only grow
      void sender.attempt('metrics', JsonMetricsSerializer.serializeRequest(collected)).finally(() => done({ code: 0 }))
    },
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  }
  const times = { exportIntervalMillis: intervalMs, exportTimeoutMillis: intervalMs }
  const reader = new PeriodicExportingMetricReader({ exporter, metricProducers: [{ collect }], ...times })
  return new MeterProvider({ resource, readers: [reader] })
}

type Instant = [seconds: number, nanoseconds: number]
type Span = { readonly startTime: Instant; readonly endTime: Instant }

function timeOf(epochMs: number): Instant {
  return [Math.floor(epochMs / 1000), (epochMs % 1000) * 1e6]
}

function metricData(family: MetricFamily, span: Span): MetricData {
  const unit = family.name.endsWith('_seconds') ? 's' : family.name.startsWith('egresslab_bytes') ? 'By' : ''
  const common = {
    descriptor: { name: family.name, description: family.help, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  }
  if (family.type === 'histogram') {
    const buckets = { boundaries: [...family.bounds], counts: [...family.buckets] }
    const value = { buckets, count: family.count, sum: family.sum }
    return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints: [{ ...span, attributes: {}, value }] }
  }
  const dataPoints = family.samples.map(([attributes, value]) => ({ ...span, attributes, value }))
  return family.type === 'gauge'
    ? { ...common, dataPointType: DataPointType.GAUGE, dataPoints }
    : { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
}

type Signal = 'logs' | 'metrics'

type Attempt = { readonly kind: 'delivered' | 'refused' | 'later'; readonly afterMs?: number }

/** Posts to the receiver, and tells when that begins to fail and when it works again. */
class Sender {
  /** log records that nobody got, since that was last told */
  lost = 0
  readonly #settings: OtlpSettings
  readonly #onProblem: (message: string) => void
  readonly #agent = new Agent({ connections: 2 })
  readonly #stopping = new AbortController()
  readonly #hurry = new AbortController()
  readonly #failing = new Set<Signal>()

  constructor(settings: OtlpSettings, onProblem: (message: string) => void) {
    this.#settings = settings
    this.#onProblem = onProblem
  }

  /** Tries until the receiver has taken or refused it, or the lab stops. Never rejects. */
  async deliver(signal: Signal, bytes: Uint8Array | undefined, records: number): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS
    for (;;) {
      const attempt = await this.attempt(signal, bytes)
      if (attempt.kind === 'delivered') return
      const { signal: hurry } = this.#hurry
      if (attempt.kind === 'refused' || hurry.aborted) break
      await delay(attempt.afterMs ?? pauseMs, undefined, { signal: hurry, ref: false }).catch(() => undefined)
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
    }
    this.lost += records
  }

  /** Never rejects. */
  async attempt(signal: Signal, bytes: Uint8Array | undefined): Promise<Attempt> {
    if (bytes === undefined) return { kind: 'refused' }
    const url = `${this.#settings.endpoint}/v1/${signal}`
    const headers = [...this.#settings.headers].map(([name, value]) => [name, value.reveal()])
    try {
      const answer = await request(url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: { ...Object.fromEntries(headers), 'content-type': 'application/json' },
        body: bytes,
        signal: AbortSignal.any([AbortSignal.timeout(ANSWER_MS), this.#stopping.signal]),
      })
      const text = await textOf(answer.body)
      const problem = answer.statusCode === 200 ? rejectedIn(text) : `it answers ${answer.statusCode}`
      if (problem === undefined) this.#works(signal)
      else this.#fails(signal, url, problem)
      if (answer.statusCode === 200) return { kind: 'delivered' }
      if (!LATER.has(answer.statusCode)) return { kind: 'refused' }
      const seconds = Number(answer.headers['retry-after'])
      return seconds > 0 ? { kind: 'later', afterMs: Math.min(seconds * 1000, LONGEST_PAUSE_MS) } : { kind: 'later' }
    } catch (thrown) {
      const isSilent = thrown instanceof DOMException && thrown.name === 'TimeoutError'
      if (!this.#stopping.signal.aborted) this.#fails(signal, url, isSilent ? 'it does not answer' : messageOf(thrown))
      return { kind: 'later' }
    }
  }

  /** The lab stops: what waits is tried once more. */
  hurry(): void {
    this.#hurry.abort()
  }

  async destroy(): Promise<void> {
    this.#stopping.abort()
    await this.#agent.destroy()
  }

  #fails(signal: Signal, url: string, why: string): void {
    if (this.#failing.size === 0)
      this.#onProblem(`OpenTelemetry cannot be delivered to ${url}: ${why}; it is tried again`)
    this.#failing.add(signal)
  }

  #works(signal: Signal): void {
    if (!this.#failing.delete(signal) || this.#failing.size > 0) return
    const lost = this.lost === 0 ? '' : `; ${counted(this.lost, 'log record')} went meanwhile`
    this.lost = 0
    this.#onProblem(`OpenTelemetry is delivered again${lost}`)
  }
}

/** Statuses after which the same is sent again (OTLP specification, "Retryable Response Codes"). */
const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504])

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > MOST_ANSWER_BYTES) break
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** What a receiver did not take of a request that it did take (OTLP specification, "Partial Success"). */
function rejectedIn(text: string): string | undefined {
  let partial: {
    readonly rejectedLogRecords?: unknown
    readonly rejectedDataPoints?: unknown
    readonly errorMessage?: unknown
  }
  try {
    partial = Object(JSON.parse(text)).partialSuccess ?? {}
  } catch {
    return undefined
  }
  const rejected = Number(partial.rejectedLogRecords ?? partial.rejectedDataPoints ?? 0)
  return rejected > 0 ? `it rejects ${rejected} of what it gets: ${String(partial.errorMessage ?? '')}` : undefined
}
