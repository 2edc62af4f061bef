// What a receiver of OTLP/HTTP takes: the messages of opentelemetry-proto 1.x (collector/logs/v1, collector/metrics/v1) in their JSON
// encoding, strictly. Numbers of 64 bits may be written as text, ids are hexadecimal, and an unknown key is a mistake of the sender.

import { Ajv2020 } from 'ajv/dist/2020.js'

const object = (properties: object, required: readonly string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
})
const many = (items: object) => ({ type: 'array', items })
const TEXT = { type: 'string' }
const UINT32 = { type: 'integer', minimum: 0, maximum: 2 ** 32 - 1 }
const INT64 = { anyOf: [{ type: 'integer' }, { type: 'string', pattern: '^-?\\d{1,19}$' }] }
const UINT64 = {
  anyOf: [
    { type: 'integer', minimum: 0 },
    { type: 'string', pattern: '^\\d{1,20}$' },
  ],
}
const DOUBLE = { type: 'number' }
const ATTRIBUTES = many({ $ref: '#/$defs/KeyValue' })

const $defs = {
  KeyValue: object({ key: { type: 'string', minLength: 1 }, value: { $ref: '#/$defs/AnyValue' } }, ['key', 'value']),
  AnyValue: {
    ...object({
      stringValue: TEXT,
      boolValue: { type: 'boolean' },
      intValue: INT64,
      doubleValue: DOUBLE,
      arrayValue: object({ values: many({ $ref: '#/$defs/AnyValue' }) }),
      kvlistValue: object({ values: many({ $ref: '#/$defs/KeyValue' }) }),
    }),
    maxProperties: 1,
  },
}

const RESOURCE = object({ attributes: ATTRIBUTES, droppedAttributesCount: UINT32 })
const SCOPE = object({ name: TEXT, version: TEXT, attributes: ATTRIBUTES, droppedAttributesCount: UINT32 })
const POINT = { attributes: ATTRIBUTES, startTimeUnixNano: UINT64, timeUnixNano: UINT64, flags: UINT32 }
const NUMBER_POINTS = many(object({ ...POINT, asDouble: DOUBLE, asInt: INT64 }, ['timeUnixNano']))
const CUMULATIVE = { const: 2 }

const LOGS = object(
  {
    resourceLogs: many(
      object({
        resource: RESOURCE,
        schemaUrl: TEXT,
        scopeLogs: many(
          object({
            scope: SCOPE,
            schemaUrl: TEXT,
            logRecords: many(
              object({
                timeUnixNano: UINT64,
                observedTimeUnixNano: UINT64,
                severityNumber: { type: 'integer', minimum: 0, maximum: 24 },
                severityText: TEXT,
                body: { $ref: '#/$defs/AnyValue' },
                attributes: ATTRIBUTES,
                droppedAttributesCount: UINT32,
                flags: UINT32,
                traceId: { type: 'string', pattern: '^[\\da-f]{32}$' },
                spanId: { type: 'string', pattern: '^[\\da-f]{16}$' },
                eventName: TEXT,
              }),
            ),
          }),
        ),
      }),
    ),
  },
  ['resourceLogs'],
)

const METRICS = object(
  {
    resourceMetrics: many(
      object({
        resource: RESOURCE,
        schemaUrl: TEXT,
        scopeMetrics: many(
          object({
            scope: SCOPE,
            schemaUrl: TEXT,
            metrics: many({
              ...object(
                {
                  name: { type: 'string', pattern: '^[A-Za-z][\\w./-]{0,254}$' },
                  description: TEXT,
                  unit: TEXT,
                  gauge: object({ dataPoints: NUMBER_POINTS }),
                  sum: object({
                    dataPoints: NUMBER_POINTS,
                    aggregationTemporality: CUMULATIVE,
                    isMonotonic: { type: 'boolean' },
                  }),
                  histogram: object({
                    dataPoints: many(
                      object({
                        ...POINT,
                        count: UINT64,
                        sum: DOUBLE,
                        min: DOUBLE,
                        max: DOUBLE,
                        bucketCounts: many(UINT64),
                        explicitBounds: many(DOUBLE),
                      }),
                    ),
                    aggregationTemporality: CUMULATIVE,
                  }),
                },
                ['name'],
              ),
              oneOf: [{ required: ['gauge'] }, { required: ['sum'] }, { required: ['histogram'] }],
            }),
          }),
        ),
      }),
    ),
  },
  ['resourceMetrics'],
)

const ajv = new Ajv2020({ allErrors: true, strict: false })
const VALIDATORS = {
  '/v1/logs': ajv.compile({ $defs, ...LOGS }),
  '/v1/metrics': ajv.compile({ $defs, ...METRICS }),
}

/** What is wrong with a request by the definition of its path; empty: nothing. */
export function problemsOf(path: string, body: unknown): readonly string[] {
  const validate = path === '/v1/logs' || path === '/v1/metrics' ? VALIDATORS[path] : undefined
  if (validate === undefined) return [`nobody listens at ${path}`]
  validate(body)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

type Value = Readonly<Record<string, unknown>>

/** An AnyValue as what it stands for. */
export function plain(value: Value): unknown {
  const [[kind = '', held] = []] = Object.entries(value)
  if (kind === 'kvlistValue') return attributesOf((held as { values: KeyValue[] }).values)
  if (kind === 'arrayValue') return (held as { values: Value[] }).values.map(plain)
  return kind === 'intValue' ? Number(held) : held
}

interface KeyValue {
  readonly key: string
  readonly value: Value
}

export function attributesOf(list: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, plain(value)]))
}
