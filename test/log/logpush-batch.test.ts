// A session in every form a Logpush job can ask for, with the option names and defaults of Cloudflare's documentation.

import { describe, expect, test } from 'vitest'
import { fieldsOf, formatRecord, LOGPUSH_DATA_SETS, readForm, recordIn } from '../../src/log/logpush-batch.ts'
import { sampleRecord } from './sample-record.ts'

/** What CVE-2021-44228 is about. */
const PLACEHOLDER = ['$', '{jndi}'].join('')

const SESSION = sampleRecord({
  SessionStartTime: '2026-11-21T12:04:30.988123456Z',
  EgressRuleName: `say "hi" ${PLACEHOLDER}`,
  ConnectionReuse: true,
})

function formatted(
  options: Parameters<typeof readForm>[1],
  dataSet: Parameters<typeof readForm>[0] = 'zero_trust_network_sessions',
) {
  return formatRecord(readForm(dataSet, options), SESSION)
}

const output = (options: Readonly<Record<string, string | number | boolean | readonly string[]>>) =>
  formatted({ output_options: options })

test('fields come in the order asked for, a record per line', () => {
  expect(output({ field_names: ['OriginPort', 'Email', 'ConnectionReuse'] })).toBe(
    '{"OriginPort":80,"Email":"bob@example.com","ConnectionReuse":true}\n',
  )
})

test('what the data set has as a whole number is one', () => {
  const form = readForm('zero_trust_network_sessions', {
    output_options: { field_names: ['RuleEvaluationDurationMs'] },
  })
  const session = sampleRecord({ RuleEvaluationDurationMs: 1.27 })
  expect(formatRecord(form, session)).toBe('{"RuleEvaluationDurationMs":1}\n')
})

test.each([
  ['unixnano', '1795262670988123456'],
  ['unix', '1795262670'],
  ['rfc3339', '"2026-11-21T12:04:30Z"'],
  ['rfc3339ms', '"2026-11-21T12:04:30.988Z"'],
  ['rfc3339ns', '"2026-11-21T12:04:30.988123456Z"'],
])('timestamps as %s', (timestamp_format, written) => {
  expect(output({ field_names: ['SessionStartTime'], timestamp_format })).toBe(`{"SessionStartTime":${written}}\n`)
})

test('timestamps are nanoseconds unless asked for otherwise, and all fields come where none are named', () => {
  const record = formatted({}) ?? ''
  expect(record).toContain('"SessionStartTime":1795262670988123456,')
  const names = Object.keys(JSON.parse(record))
  expect(names).toEqual(Object.keys(fieldsOf('zero_trust_network_sessions')).filter((name) => name !== 'Lab'))
})

test('CSV quotes texts and not numbers', () => {
  const field_names = ['EgressRuleName', 'OriginPort', 'ConnectionReuse', 'Email']
  expect(output({ field_names, output_type: 'csv' })).toBe(`"say ""hi"" ${PLACEHOLDER}",80,true,"bob@example.com"\n`)
  expect(output({ field_names: ['Email', 'OriginPort'], output_type: 'csv', field_delimiter: '\t' })).toBe(
    '"bob@example.com"\t80\n',
  )
})

test('the documented nested form: prefixes, suffixes and delimiters', () => {
  const options = {
    field_names: ['OriginPort'],
    record_prefix: '\n  {"info":{',
    record_suffix: '}}',
    record_delimiter: ',',
  }
  expect(output(options)).toBe('\n  {"info":{"OriginPort":80}}')
})

test('a record template has fields, constant texts and comments; a field that is not named is null', () => {
  const record_template = '"port":{{.OriginPort}},{{/* who */}}"who":{{ .Email }},"x":{{.SNI}}{{`{{curly}}`}}{{"\\n"}}'
  expect(() => output({ field_names: ['OriginPort'], record_template: '{{if .X}}' })).toThrow('not `{{if .X}}`')
  expect(output({ field_names: ['OriginPort', 'Email'], record_template })).toBe(
    '{"port":80,"who":"bob@example.com","x":null{{curly}}\n}\n',
  )
})

test('CVE-2021-44228 is defused', () => {
  expect(output({ field_names: ['EgressRuleName'], 'CVE-2021-44228': true })).toBe(
    '{"EgressRuleName":"say \\"hi\\" x{jndi}"}\n',
  )
})

test('logpull_options, as older jobs have them', () => {
  const logpull_options = 'fields=SessionStartTime,EgressRuleName&timestamps=rfc3339&CVE-2021-44228=true'
  expect(formatted({ logpull_options })).toBe(
    '{"SessionStartTime":"2026-11-21T12:04:30Z","EgressRuleName":"say \\"hi\\" x{jndi}"}\n',
  )
})

test('a sample is the same share of sessions every time', () => {
  const form = readForm('zero_trust_network_sessions', {
    output_options: { field_names: ['SessionID'], sample_rate: 0.25 },
  })
  const sessions = Array.from({ length: 4000 }, (_, nth) => sampleRecord({ SessionID: `session-${nth}` }))
  const sample = () => sessions.flatMap((session) => formatRecord(form, session) ?? [])
  expect(sample().length).toBeGreaterThan(800)
  expect(sample().length).toBeLessThan(1200)
  expect(sample()).toEqual(sample())
})

describe('filters', () => {
  const wants = (where: unknown) =>
    formatted({ output_options: { field_names: ['SNI'] }, filter: JSON.stringify({ where }) }) !== undefined
  const condition = (key: string, operator: string, value: unknown) => ({ key, operator, value })
  test.each([
    ['eq', condition('Email', 'eq', 'bob@example.com'), true],
    ['eq of a number in a text', condition('OriginPort', 'eq', '80'), true],
    ['!eq', condition('Email', '!eq', 'bob@example.com'), false],
    ['lt', condition('OriginPort', 'lt', '80'), false],
    ['leq', condition('OriginPort', 'leq', 80), true],
    ['gt', condition('OriginPort', 'gt', 79), true],
    ['geq', condition('OriginPort', 'geq', '81'), false],
    ['startsWith', condition('Email', 'startsWith', 'bob'), true],
    ['!endsWith', condition('Email', '!endsWith', 'example.com'), false],
    ['contains', condition('Email', 'contains', '@exam'), true],
    ['in', condition('OriginPort', 'in', [80, 443]), true],
    ['!in', condition('OriginPort', '!in', [80, 443]), false],
    ['and', { and: [condition('OriginPort', 'eq', 80), condition('Email', 'eq', 'x')] }, false],
    [
      'or, nested',
      {
        and: [
          condition('OriginPort', 'eq', 80),
          { or: [condition('Email', 'eq', 'x'), condition('Protocol', 'eq', 'TCP')] },
        ],
      },
      true,
    ],
  ])('%s', (_name, where, wanted) => {
    expect(wants(where)).toBe(wanted)
  })

  test.each([
    ['no JSON', 'port = 80', 'is not a JSON object'],
    ['no where', '{"and":[]}', 'must have the key `where`'],
    ['an unknown field', '{"where":{"key":"OriginPrt","operator":"eq","value":1}}', 'did you mean `OriginPort`?'],
    ['an unknown operator', '{"where":{"key":"OriginPort","operator":"is","value":1}}', 'has no operator `is`'],
    ['no value', '{"where":{"key":"OriginPort","operator":"eq"}}', 'needs `key`, `operator` and `value`'],
    [
      'too much',
      `{"where":{"or":[${Array.from({ length: 31 }, () => '{"key":"SNI","operator":"eq","value":""}').join(',')}]}}`,
      'is longer than 1000 bytes',
    ],
  ])('%s is refused', (_name, filter, message) => {
    expect(() => formatted({ filter })).toThrow(message)
  })
})

test('a field that the data set does not have is refused with the nearest one', () => {
  expect(() => output({ field_names: ['EgresIP'] })).toThrow(
    '`zero_trust_network_sessions` has no field `EgresIP`; did you mean `EgressIP`?',
  )
})

describe('other data sets', () => {
  test('gateway_network has its own names for destination and transport', () => {
    expect(recordIn('gateway_network', SESSION)).toMatchObject({
      DestinationIP: '198.51.100.1',
      DestinationPort: 80,
      TransportProtocol: 'tcp',
      Transport: 'tcp',
      Datetime: SESSION.SessionStartTime,
      VirtualNetworkName: 'default',
      ApplicationIDs: [],
    })
    const options = { output_options: { field_names: ['Datetime', 'DestinationIP'], timestamp_format: 'unix' } }
    expect(formatted(options, 'gateway_network')).toBe('{"Datetime":1795262670,"DestinationIP":"198.51.100.1"}\n')
  })

  test('gateway_http is of forwarded HTTP alone', () => {
    expect(recordIn('gateway_http', SESSION)).toMatchObject({
      HTTPHost: 'ipv4.icanhazip.com',
      URL: '',
      HTTPStatusCode: 0,
    })
    expect(recordIn('gateway_http', sampleRecord({}, { inbound: 'http-connect' }))).toBeUndefined()
  })

  test('a record has exactly the documented fields', () => {
    for (const dataSet of LOGPUSH_DATA_SETS) {
      expect(Object.keys(recordIn(dataSet, SESSION) ?? {}).sort()).toEqual(Object.keys(fieldsOf(dataSet)).sort())
    }
  })
})
