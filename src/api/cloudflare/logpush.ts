// `/logpush`: jobs that push finished sessions to an HTTP endpoint or a folder, as `zero_trust_network_sessions`,
// `gateway_network` or `gateway_http`. Other data sets are refused: the lab has no such log.

import { randomInt } from 'node:crypto'
import type { RecordedDataSet } from '../../analysis/replay-summary.ts'
import type { Json, JsonObject, Stored } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { messageOf } from '../../errors/thrown.ts'
import { fieldsOf, LOGPUSH_DATA_SETS, readForm, TIMESTAMP_FORMATS } from '../../log/logpush-batch.ts'
import { ApiError, notFound, WORDED_CODES } from '../api-error.ts'
import { type ApiMessage, listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import {
  JOB_DELETED,
  LOGPUSH_CHALLENGE,
  LOGPUSH_EXISTS,
  LOGPUSH_FIELDS,
  LOGPUSH_JOB,
  LOGPUSH_VALID,
} from '../shapes/cloudflare.ts'
import { FLAG, find, liveOf, objectOf, TEXT, textField, written } from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/logpush'
/** Cloudflare's number for a job or destination it does not take. */

const CONF = { type: 'string', minLength: 1, maxLength: 4096, format: 'logpush-destination' } as const
const DATA_SET = { type: 'string', format: 'logpush-data-set' } as const
const FORMATS = {
  type: ['object', 'null'],
  additionalProperties: false,
  properties: {
    field_names: { type: ['array', 'null'], items: { type: 'string' }, maxItems: 200 },
    output_type: { enum: ['ndjson', 'csv', '', null] },
    batch_prefix: TEXT,
    batch_suffix: TEXT,
    record_prefix: TEXT,
    record_suffix: TEXT,
    record_template: TEXT,
    record_delimiter: TEXT,
    field_delimiter: TEXT,
    timestamp_format: { enum: [...TIMESTAMP_FORMATS, '', null] },
    sample_rate: { type: ['number', 'null'] },
    'CVE-2021-44228': FLAG,
    merge_subrequests: FLAG,
  },
} as const
const limits = (least: number, most: number) => ({
  anyOf: [{ type: 'integer', minimum: least, maximum: most }, { const: 0 }, { type: 'null' }],
})
const OPTIONS = {
  filter: TEXT,
  frequency: { enum: ['high', 'low', null] },
  kind: { enum: ['', null] },
  logpull_options: TEXT,
  max_upload_bytes: limits(5_000_000, 1_000_000_000),
  max_upload_interval_seconds: limits(30, 300),
  max_upload_records: limits(1000, 1_000_000),
  output_options: FORMATS,
} as const
const JOB = {
  name: TEXT,
  destination_conf: CONF,
  dataset: TEXT,
  enabled: FLAG,
  ownership_challenge: TEXT,
  ...OPTIONS,
  // what clients hand back as they got it
  error_message: {},
  last_complete: {},
  last_error: {},
} as const
const DESTINATION = objectOf({ destination_conf: CONF }, ['destination_conf'])

export const LOGPUSH_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: `${PATH}/jobs`,
    summary: 'lists Logpush jobs',
    access: 'token',
    role: 'admin',
    answers: { kind: 'list', schema: LOGPUSH_JOB },
    handle: (call) => listOf(liveOf(call, 'logpushJob').map((job) => present(call, job))),
  },
  {
    method: 'POST',
    path: `${PATH}/jobs`,
    summary: 'creates a Logpush job, for an HTTP endpoint or a folder',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_JOB },
    body: objectOf({ ...JOB, dataset: DATA_SET }, ['destination_conf', 'dataset']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/jobs/{id}`,
    summary: 'one Logpush job, and how it is doing',
    access: 'token',
    role: 'admin',
    answers: { kind: 'result', schema: LOGPUSH_JOB },
    handle: (call) => ok(present(call, job(call))),
  },
  {
    method: 'PUT',
    path: `${PATH}/jobs/{id}`,
    summary: 'changes the given fields of a Logpush job; its data set is fixed',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_JOB },
    body: objectOf({ ...JOB, destination_conf: { ...CONF, type: ['string', 'null'] } }),
    handle: replace,
  },
  {
    method: 'DELETE',
    path: `${PATH}/jobs/{id}`,
    summary: 'deletes a Logpush job; what it has not delivered goes with it',
    access: 'token',
    answers: { kind: 'result', schema: JOB_DELETED },
    handle: (call) => {
      const { id } = job(call).value
      call.change((draft) => draft.remove('logpushJob', id))
      return ok({ id: Number(id) })
    },
  },
  {
    method: 'GET',
    path: `${PATH}/datasets/{dataset_id}/jobs`,
    summary: 'the Logpush jobs of one data set',
    access: 'token',
    role: 'admin',
    answers: { kind: 'list', schema: LOGPUSH_JOB },
    handle: (call) => {
      const dataSet = dataSetAt(call)
      const jobs = liveOf(call, 'logpushJob').filter(({ value }) => value.dataset === dataSet)
      return listOf(jobs.map((each) => present(call, each)))
    },
  },
  {
    method: 'GET',
    path: `${PATH}/datasets/{dataset_id}/fields`,
    summary: 'the fields of a data set, with their types',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_FIELDS },
    handle: (call) => ok(fieldsOf(dataSetAt(call))),
  },
  {
    method: 'POST',
    path: `${PATH}/ownership`,
    summary: 'writes an ownership challenge to a folder; HTTP endpoints need none',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_CHALLENGE },
    body: DESTINATION,
    handle: async (call) => {
      const filename = await refusing(() => call.ports.logpush.challenge(destinationIn(call)))
      return ok({ filename, valid: true, message: '' })
    },
  },
  {
    method: 'POST',
    path: `${PATH}/ownership/validate`,
    summary: 'whether an ownership challenge is the one of a destination',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_VALID },
    body: objectOf({ destination_conf: CONF, ownership_challenge: TEXT }, ['destination_conf', 'ownership_challenge']),
    handle: async (call) => {
      const token = textField(call.body, 'ownership_challenge')
      return ok({ valid: await call.ports.logpush.isAnswered(destinationIn(call), token) })
    },
  },
  {
    method: 'POST',
    path: `${PATH}/validate/destination`,
    summary: 'whether a destination takes a test batch',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_VALID },
    body: DESTINATION,
    handle: (call) => verdict(() => call.ports.logpush.check(destinationIn(call))),
  },
  {
    method: 'POST',
    path: `${PATH}/validate/destination/exists`,
    summary: 'whether a job pushes to a destination already',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_EXISTS },
    body: DESTINATION,
    handle: (call) => {
      const destination = destinationIn(call)
      return ok({ exists: liveOf(call, 'logpushJob').some(({ value }) => value.destination === destination) })
    },
  },
  {
    method: 'POST',
    path: `${PATH}/validate/origin`,
    summary: 'whether `logpull_options` are valid for a data set',
    access: 'token',
    answers: { kind: 'result', schema: LOGPUSH_VALID },
    body: objectOf({ dataset: TEXT, logpull_options: TEXT }, ['logpull_options']),
    handle: (call) => {
      const dataSet = dataSetOf(textField(call.body, 'dataset') || LOGPUSH_DATA_SETS[0])
      return verdict(async () => void readForm(dataSet, { logpull_options: textField(call.body, 'logpull_options') }))
    },
  },
]

function destinationIn({ body }: RouteCall): string {
  return textField(body, 'destination_conf')
}

function dataSetOf(written: Json | undefined): RecordedDataSet {
  const found = LOGPUSH_DATA_SETS.find((name) => name === written)
  if (found !== undefined) return found
  throw refusal(`the lab has no data set \`${String(written ?? '')}\`; there are ${LOGPUSH_DATA_SETS.join(', ')}`)
}

function dataSetAt({ params }: RouteCall): RecordedDataSet {
  const found = LOGPUSH_DATA_SETS.find((name) => name === params.dataset_id)
  if (found === undefined) throw notFound(`data set \`${params.dataset_id ?? ''}\` not found`)
  return found
}

function refusal(message: string): ApiError {
  return new ApiError(400, [{ code: WORDED_CODES.refusedByLogpush, message }])
}

/** What Logpush does not take is refused under its number. */
async function refusing<T>(attempt: () => T | Promise<T>): Promise<T> {
  try {
    return await attempt()
  } catch (thrown) {
    throw thrown instanceof ChangeError ? refusal(thrown.message) : thrown
  }
}

async function verdict(attempt: () => Promise<void>) {
  try {
    await attempt()
    return ok({ valid: true, message: '' })
  } catch (thrown) {
    if (!(thrown instanceof ChangeError)) throw thrown
    return ok({ valid: false, message: messageOf(thrown) })
  }
}

function job(call: RouteCall): Stored<'logpushJob'> {
  return find(call, 'logpushJob', call.params.id ?? '', 'Logpush job')
}

async function create(call: RouteCall) {
  const { body } = call
  const dataset = dataSetOf(body.dataset)
  const options = optionsIn(body, {})
  const destination = destinationIn(call)
  await checkJob(call, { dataset, destination, options })
  let id = ''
  call.change((draft) => {
    const taken = new Set(draft.all('logpushJob').map((other) => other.id))
    do id = String(randomInt(100_000, 1_000_000))
    while (taken.has(id))
    draft.put('logpushJob', {
      id,
      name: nameIn(body, null),
      dataset,
      destination,
      enabled: body.enabled === true,
      options,
    })
  })
  return ok(present(call, written(call, 'logpushJob', id)), { messages: messagesOn(dataset) })
}

async function replace(call: RouteCall) {
  const { body } = call
  const { value: before } = job(call)
  if (body.dataset !== undefined && body.dataset !== null && body.dataset !== before.dataset) {
    throw refusal('the data set of a job cannot be changed; create another job')
  }
  const options = optionsIn(body, before.options)
  const destination = destinationIn(call) || before.destination
  const { id, dataset } = before
  await checkJob(call, { dataset, destination, options, before: before.destination })
  call.change((draft) => {
    if (draft.get('logpushJob', id) === undefined) throw notFound(`Logpush job \`${id}\` not found`)
    const enabled = typeof body.enabled === 'boolean' ? body.enabled : before.enabled
    draft.put('logpushJob', { id, name: nameIn(body, before.name), dataset, destination, enabled, options })
  })
  return ok(present(call, written(call, 'logpushJob', id)), { messages: messagesOn(dataset) })
}

interface WantedJob {
  readonly dataset: RecordedDataSet
  readonly destination: string
  readonly options: JsonObject
  /** absent: the job is new */
  readonly before?: string
}

/** A new destination has to be proven: storage by its challenge, an endpoint by taking a test batch. */
async function checkJob(call: RouteCall, { dataset, destination, options, before }: WantedJob): Promise<void> {
  const { logpush } = call.ports
  await refusing(async () => {
    readForm(dataset, options)
    if (destination === before) return
    if (await logpush.needsChallenge(destination)) {
      const token = textField(call.body, 'ownership_challenge')
      if (token === '') throw refusal('`ownership_challenge` is missing: prove first that the folder is yours')
      if (!(await logpush.isAnswered(destination, token))) throw refusal('`ownership_challenge` is not valid')
    }
    await logpush.check(destination)
  })
}

function nameIn(body: JsonObject, before: string | null): string | null {
  return typeof body.name === 'string' ? body.name : before
}

/** What is sent replaces what was there; null and absent leave it. */
function optionsIn(body: JsonObject, before: JsonObject): JsonObject {
  const sent = Object.keys(OPTIONS).flatMap((name) => {
    const value = body[name]
    return value === undefined || value === null ? [] : [[name, value] as const]
  })
  return { ...before, ...Object.fromEntries(sent) }
}

function messagesOn(dataSet: RecordedDataSet): readonly ApiMessage[] {
  if (dataSet !== 'gateway_http') return []
  const message =
    'the lab logs connections, not requests: forwarded HTTP gives one record per connection, without URL, method and status'
  return [{ code: WORDED_CODES.refusedByLogpush, message }]
}

function present(call: RouteCall, { value }: Stored<'logpushJob'>) {
  const { id, name, dataset, destination, enabled, options } = value
  const { lastComplete, lastError, errorMessage } = call.ports.logpush.status(id)
  const given = Object.fromEntries(Object.keys(OPTIONS).map((key) => [key, options[key] ?? null]))
  return {
    id: Number(id),
    name,
    dataset,
    destination_conf: destination,
    enabled,
    ...given,
    frequency: options.frequency ?? 'high',
    kind: '',
    last_complete: lastComplete,
    last_error: lastError,
    error_message: errorMessage,
  }
}
