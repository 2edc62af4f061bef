// Sessions in the form a Logpush job asks for: which data set, which fields, as NDJSON or CSV, timestamps, filter. Pure. What
// the lab does not know of a field stays empty, as in its own log.

import type { RecordedDataSet } from '../analysis/replay-summary.ts'
import type { Json, JsonObject } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { closest } from '../errors/did-you-mean.ts'
import { hash32 } from '../policy/balance.ts'
import type { SessionRecord } from '../proxy/session-record.ts'

type FieldType = 'string' | 'int' | 'bool' | 'int or string' | 'array[int]' | 'array[string]' | 'object'
type Fields = Readonly<Record<string, FieldType>>

const SESSION_FIELDS = {
  AccountID: 'string',
  BytesReceived: 'int',
  BytesSent: 'int',
  ClientTCPHandshakeDurationMs: 'int',
  ClientTLSCipher: 'string',
  ClientTLSHandshakeDurationMs: 'int',
  ClientTLSVersion: 'string',
  ConnectionCloseReason: 'string',
  ConnectionReuse: 'bool',
  DestinationReplicaID: 'string',
  DestinationTunnelID: 'string',
  DetectedProtocol: 'string',
  DeviceID: 'string',
  DeviceName: 'string',
  EgressColoName: 'string',
  EgressIP: 'string',
  EgressPort: 'int',
  EgressRuleID: 'string',
  EgressRuleName: 'string',
  Email: 'string',
  IngressColoName: 'string',
  InitialOriginIP: 'string',
  Offramp: 'string',
  OnrampType: 'string',
  OriginIP: 'string',
  OriginPort: 'int',
  OriginTLSCertificateIssuer: 'string',
  OriginTLSCertificateValidationResult: 'string',
  OriginTLSCipher: 'string',
  OriginTLSHandshakeDurationMs: 'int',
  OriginTLSVersion: 'string',
  Protocol: 'string',
  RegistrationID: 'string',
  ResolvedFQDN: 'string',
  RuleEvaluationDurationMs: 'int',
  SNI: 'string',
  SessionEndTime: 'int or string',
  SessionID: 'string',
  SessionStartTime: 'int or string',
  SourceID: 'string',
  SourceIP: 'string',
  SourceInternalIP: 'string',
  SourceName: 'string',
  SourcePort: 'int',
  TenantID: 'string',
  UserID: 'string',
  VirtualNetworkID: 'string',
  Lab: 'object',
} as const satisfies Record<keyof SessionRecord, FieldType>

/** What Gateway's two logs have in common. */
const GATEWAY_FIELDS: Fields = {
  ...typed('string', 'AccountID Action DestinationIP DestinationIPContinentCode DestinationIPCountryCode DeviceID'),
  ...typed('string', 'DeviceName Email PolicyID PolicyName ProxyEndpoint RegistrationID SessionID SourceIP'),
  ...typed('string', 'SourceIPContinentCode SourceIPCountryCode SourceInternalIP TenantID UserID VirtualNetworkID'),
  ...typed('string', 'VirtualNetworkName'),
  ...typed('int', 'DestinationPort SourcePort'),
  ...typed('array[int]', 'ApplicationIDs CategoryIDs'),
  ...typed('array[string]', 'ApplicationNames CategoryNames'),
  Datetime: 'int or string',
}

const FIELDS_OF: Readonly<Record<RecordedDataSet, Fields>> = {
  zero_trust_network_sessions: SESSION_FIELDS,
  gateway_network: sorted({
    ...GATEWAY_FIELDS,
    ...typed('string', 'DetectedProtocol OverrideIP SNI Transport TransportProtocol'),
    OverridePort: 'int',
  }),
  gateway_http: sorted({
    ...GATEWAY_FIELDS,
    ...typed('string', 'BlockedFileHash BlockedFileName BlockedFileReason BlockedFileType ForensicCopyStatus HTTPHost'),
    ...typed('string', 'HTTPMethod HTTPVersion PrivateAppAUD RedirectTargetURI Referer RequestID URL UserAgent'),
    UntrustedCertificateAction: 'string',
    ...typed('int', 'BlockedFileSize HTTPStatusCode'),
    ...typed('bool', 'IsIsolated Quarantined'),
    ...typed('array[string]', 'AddedHeaders ApplicationStatuses DeletedHeaders DownloadMatchedDlpProfileEntries'),
    ...typed('array[string]', 'DownloadMatchedDlpProfiles DownloadedFileNames SetHeaders UploadedFileNames Warnings'),
    ...typed('array[string]', 'UploadMatchedDlpProfileEntries UploadMatchedDlpProfiles'),
    ...typed('object', 'AppControlInfo FileInfo'),
  }),
}

function typed(type: FieldType, names: string): Fields {
  return Object.fromEntries(names.split(' ').map((name) => [name, type]))
}

function sorted(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The data sets sessions can be pushed as. */
export const LOGPUSH_DATA_SETS = Object.keys(FIELDS_OF) as readonly RecordedDataSet[]

/** Fields of a data set with their types, as Cloudflare documents them; `Lab` is the lab's own. */
export function fieldsOf(dataSet: RecordedDataSet): Fields {
  return FIELDS_OF[dataSet]
}

const EMPTY: Readonly<Record<FieldType, Json>> = {
  string: '',
  int: 0,
  bool: false,
  'int or string': '',
  'array[int]': [],
  'array[string]': [],
  object: {},
}

/** The session as a record of the data set; undefined where it is none. Gateway's HTTP log is of forwarded HTTP alone, and
 *  one record per connection: the lab keeps no log of requests. */
export function recordIn(dataSet: RecordedDataSet, session: SessionRecord): JsonObject | undefined {
  const { Lab: lab, ...own } = session
  if (dataSet === 'zero_trust_network_sessions') return session as unknown as JsonObject
  const isHttp = lab.inbound === 'http-forward' || lab.inbound === 'h2-forward'
  if (dataSet === 'gateway_http' && !isHttp) return undefined
  const protocol = own.Protocol.toLowerCase()
  const known: JsonObject = {
    ...(own as unknown as JsonObject),
    Action: 'allow',
    Datetime: own.SessionStartTime,
    DestinationIP: own.OriginIP,
    DestinationPort: own.OriginPort,
    HTTPHost: lab.target.replace(/:\d+$/, ''),
    ProxyEndpoint: lab.proxyEndpoint ?? '',
    Transport: protocol,
    TransportProtocol: protocol,
    VirtualNetworkName: lab.virtualNetworkName,
  }
  return Object.fromEntries(
    Object.entries(FIELDS_OF[dataSet]).map(([name, type]) => [name, known[name] ?? EMPTY[type]]),
  )
}

/** How a job wants its records. */
export interface LogpushForm {
  readonly dataSet: RecordedDataSet
  readonly fields: readonly string[]
  readonly csv: boolean
  readonly batch: { readonly prefix: string; readonly suffix: string }
  readonly record: { readonly prefix: string; readonly suffix: string; readonly delimiter: string }
  readonly fieldDelimiter: string
  /** texts, and the names of fields between them; absent: the fields with their names */
  readonly template?: readonly TemplatePart[]
  readonly timestamps: (typeof TIMESTAMP_FORMATS)[number]
  /** of 1 */
  readonly sampleRate: number
  /** replaces `${` by `x{`, for readers that CVE-2021-44228 is a danger to */
  readonly redacts: boolean
  readonly isWanted: (record: JsonObject) => boolean
  /** when a batch ends, whichever comes first; bytes of sessions as they are kept */
  readonly limits: { readonly intervalMs: number; readonly records: number; readonly bytes: number }
}

type TemplatePart = string | { readonly field: string }

export const TIMESTAMP_FORMATS = ['unixnano', 'unix', 'rfc3339', 'rfc3339ms', 'rfc3339ns'] as const

/** Reads `output_options` (or the older `logpull_options`) and `filter` of a job. Throws ChangeError `change.invalid`. */
export function readForm(dataSet: RecordedDataSet, options: JsonObject): LogpushForm {
  const output = isObject(options.output_options) ? options.output_options : fromLogpullOptions(options.logpull_options)
  const fields = Array.isArray(output.field_names) ? output.field_names.map(String) : defaultFields(dataSet)
  for (const field of fields) checkField(dataSet, field)
  const csv = output.output_type === 'csv'
  const text = (key: string, usual: string) => (typeof output[key] === 'string' ? output[key] : usual)
  const template = typeof output.record_template === 'string' ? { template: readTemplate(output.record_template) } : {}
  const timestamps = TIMESTAMP_FORMATS.find((format) => format === text('timestamp_format', 'unixnano'))
  const sampleRate = typeof output.sample_rate === 'number' ? output.sample_rate : 1
  if (timestamps === undefined) throw invalid(`\`timestamp_format\` must be one of ${TIMESTAMP_FORMATS.join(', ')}`)
  if (!(sampleRate > 0 && sampleRate <= 1)) throw invalid('`sample_rate` must be more than 0 and at most 1')
  return {
    dataSet,
    fields,
    csv,
    batch: { prefix: text('batch_prefix', ''), suffix: text('batch_suffix', '') },
    record: {
      prefix: text('record_prefix', csv ? '' : '{'),
      suffix: text('record_suffix', csv ? '\n' : '}\n'),
      delimiter: text('record_delimiter', ''),
    },
    fieldDelimiter: text('field_delimiter', ','),
    ...template,
    timestamps,
    sampleRate,
    redacts: output['CVE-2021-44228'] === true,
    isWanted: readFilter(dataSet, typeof options.filter === 'string' ? options.filter : ''),
    limits: readLimits(options),
  }
}

const USUAL_SECONDS = 2
const USUAL_RECORDS = 100_000
/** Whatever a job allows: a batch is packed in memory. */
const MOST_BYTES = 64 << 20

function readLimits(options: JsonObject): LogpushForm['limits'] {
  const limit = (key: string, usual: number) =>
    typeof options[key] === 'number' && options[key] > 0 ? options[key] : usual
  return {
    intervalMs: limit('max_upload_interval_seconds', USUAL_SECONDS) * 1000,
    records: limit('max_upload_records', USUAL_RECORDS),
    bytes: Math.min(limit('max_upload_bytes', MOST_BYTES), MOST_BYTES),
  }
}

function defaultFields(dataSet: RecordedDataSet): readonly string[] {
  return Object.keys(FIELDS_OF[dataSet]).filter((name) => name !== 'Lab')
}

/** `fields=A,B&timestamps=rfc3339&sample=0.1&CVE-2021-44228=true`. */
function fromLogpullOptions(written: Json | undefined): JsonObject {
  const parameters = new URLSearchParams(typeof written === 'string' ? written : '')
  const [fields, timestamps, sample] = ['fields', 'timestamps', 'sample'].map((name) => parameters.get(name))
  return {
    ...(fields ? { field_names: fields.split(',') } : {}),
    ...(timestamps ? { timestamp_format: timestamps } : {}),
    ...(sample ? { sample_rate: Number(sample) } : {}),
    'CVE-2021-44228': parameters.get('CVE-2021-44228') === 'true',
  }
}

function checkField(dataSet: RecordedDataSet, field: string): void {
  if (Object.hasOwn(FIELDS_OF[dataSet], field)) return
  const guess = closest(field, Object.keys(FIELDS_OF[dataSet]))
  throw invalid(`\`${dataSet}\` has no field \`${field}\`${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`)
}

function invalid(message: string): ChangeError {
  return new ChangeError('change.invalid', message)
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `{{ … }}`, which may hold braces in a text of its own. */
const ACTIONS = /(\{\{\s*(?:`[^`]*`|"(?:[^"\\]|\\.)*"|.*?)\s*\}\})/s

/** What of Go's text/template a record may use: fields, constant texts, comments. */
function readTemplate(written: string): readonly TemplatePart[] {
  return written.split(ACTIONS).flatMap((part): readonly TemplatePart[] => {
    if (!part.startsWith('{{')) return part === '' ? [] : [part]
    const action = part.slice(2, -2).trim()
    const field = /^\.(\w+)$/.exec(action)?.[1]
    if (field !== undefined) return [{ field }]
    const constant = /^"((?:[^"\\]|\\.)*)"$|^`([^`]*)`$/.exec(action)
    if (constant !== null) return [constant[2] ?? String(JSON.parse(`"${constant[1] ?? ''}"`))]
    if (/^\/\*.*\*\/$/s.test(action)) return []
    throw invalid(`\`record_template\` may hold fields, constant texts and comments, not \`${part}\``)
  })
}

/** The session as one record of a batch; undefined where the job does not want it. */
export function formatRecord(form: LogpushForm, session: SessionRecord): string | undefined {
  const { dataSet, fields, template, fieldDelimiter, csv } = form
  if (form.sampleRate < 1 && hash32(session.SessionID) / 2 ** 32 >= form.sampleRate) return undefined
  const record = recordIn(dataSet, session)
  if (record === undefined || !form.isWanted(record)) return undefined
  const value = (field: string) => formatValue(form, field, fields.includes(field) ? record[field] : null)
  const named = (field: string) => (csv ? value(field) : `${JSON.stringify(field)}:${value(field)}`)
  const inner =
    template === undefined
      ? fields.map(named).join(fieldDelimiter)
      : template.map((part) => (typeof part === 'string' ? part : value(part.field))).join('')
  const text = `${form.record.prefix}${inner}${form.record.suffix}`
  return form.redacts ? text.replaceAll('${', 'x{') : text
}

function formatValue({ dataSet, timestamps, csv }: LogpushForm, field: string, value: Json | undefined): string {
  if (FIELDS_OF[dataSet][field] === 'int or string' && typeof value === 'string' && value !== '') {
    const time = formatTime(value, timestamps)
    return timestamps.startsWith('unix') ? time : `"${time}"`
  }
  // the lab measures finer than the data set's whole numbers
  if (FIELDS_OF[dataSet][field] === 'int' && typeof value === 'number') return String(Math.round(value))
  if (!csv) return JSON.stringify(value ?? null)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? '')
  return `"${text.replaceAll('"', '""')}"`
}

/** From RFC 3339 in UTC with nanoseconds. A number of nanoseconds is larger than numbers are exact, so it stays text. */
function formatTime(instant: string, format: LogpushForm['timestamps']): string {
  const whole = `${instant.slice(0, 19)}Z`
  const seconds = String(Date.parse(whole) / 1000)
  const formats = {
    rfc3339: () => whole,
    rfc3339ms: () => `${instant.slice(0, 23)}Z`,
    rfc3339ns: () => instant,
    unix: () => seconds,
    unixnano: () => `${seconds}${instant.slice(20, 29)}`,
  }
  return formats[format]()
}

type Condition = (record: JsonObject) => boolean

const MOST_CONDITIONS = 30
const MOST_FILTER_BYTES = 1000

/** `{"where":{"and":[{"key","operator","value"},…]}}`: what is pushed. Empty: everything. */
function readFilter(dataSet: RecordedDataSet, written: string): Condition {
  if (written === '') return () => true
  if (Buffer.byteLength(written) > MOST_FILTER_BYTES)
    throw invalid(`\`filter\` is longer than ${MOST_FILTER_BYTES} bytes`)
  const parsed = parseFilter(written)
  if (parsed.where === undefined) throw invalid('`filter` must have the key `where`')
  const counter = { conditions: 0 }
  return readCondition(dataSet, parsed.where, counter)
}

function parseFilter(written: string): JsonObject {
  try {
    const parsed: Json = JSON.parse(written)
    if (isObject(parsed)) return parsed
  } catch {
    // said below
  }
  throw invalid('`filter` is not a JSON object in a text')
}

function readCondition(dataSet: RecordedDataSet, written: Json, counter: { conditions: number }): Condition {
  if (!isObject(written)) throw invalid('a condition of `filter` is not an object')
  for (const joined of ['and', 'or'] as const) {
    const parts = written[joined]
    if (!Array.isArray(parts)) continue
    const conditions = parts.map((part) => readCondition(dataSet, part, counter))
    return joined === 'and'
      ? (record) => conditions.every((holds) => holds(record))
      : (record) => conditions.some((holds) => holds(record))
  }
  if (++counter.conditions > MOST_CONDITIONS) throw invalid(`\`filter\` has more than ${MOST_CONDITIONS} conditions`)
  const { key, operator, value } = written
  if (typeof key !== 'string' || typeof operator !== 'string' || value === undefined) {
    throw invalid('a condition of `filter` needs `key`, `operator` and `value`')
  }
  checkField(dataSet, key)
  const isNot = operator.startsWith('!')
  const compare = COMPARISONS[isNot ? operator.slice(1) : operator]
  if (compare === undefined) {
    throw invalid(`\`filter\` has no operator \`${operator}\`; there are ${Object.keys(COMPARISONS).join(', ')}`)
  }
  return (record) => compare(record[key] ?? '', value) !== isNot
}

const COMPARISONS: Readonly<Record<string, (actual: Json, wanted: Json) => boolean>> = {
  eq: (actual, wanted) => String(actual) === String(wanted),
  lt: (actual, wanted) => Number(actual) < Number(wanted),
  leq: (actual, wanted) => Number(actual) <= Number(wanted),
  gt: (actual, wanted) => Number(actual) > Number(wanted),
  geq: (actual, wanted) => Number(actual) >= Number(wanted),
  startsWith: (actual, wanted) => String(actual).startsWith(String(wanted)),
  endsWith: (actual, wanted) => String(actual).endsWith(String(wanted)),
  contains: (actual, wanted) =>
    Array.isArray(actual)
      ? actual.some((item) => String(item) === String(wanted))
      : String(actual).includes(String(wanted)),
  in: (actual, wanted) => Array.isArray(wanted) && wanted.some((item) => String(item) === String(actual)),
}
