// How the API says no: an HTTP status and Cloudflare's list of numbered errors. Never carries a secret or a stack.

import { CHANGE_ERRORS, type ChangeError } from '../errors/change-error.ts'

/** One entry of the envelope's `errors`. `pointer` is a JSON pointer into the request's body (RFC 6901). */
export interface ApiProblem {
  readonly code: number
  readonly message: string
  readonly pointer?: string
  /** facts for programs, shown under `details` */
  readonly details?: Readonly<Record<string, unknown>>
}

/** An answer that is a refusal. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly problems: readonly ApiProblem[]
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, problems: readonly ApiProblem[], headers: Readonly<Record<string, string>> = {}) {
    super(problems.map(({ message }) => message).join('; '))
    this.status = status
    this.problems = problems
    this.headers = headers
  }
}

/** Numbers of refusals that are about the request rather than about the state. Those below 20000 are Cloudflare's. */
export const REQUEST_ERRORS = {
  authentication: { status: 401, code: 10000, message: 'Authentication error' },
  role: { status: 403, code: 9109, message: 'the role of this token does not allow that' },
  noRoute: { status: 404, code: 7000, message: 'No route for that URI' },
  wrongMethod: { status: 405, code: 7001, message: 'Method not available for that URI' },
  wrongAccount: { status: 404, code: 7003, message: 'Could not route to that account' },
  unsupported: { status: 404, code: 20100, message: 'not supported by this lab' },
  invalidField: { status: 400, code: 20101, message: 'a field is invalid' },
  invalidJson: { status: 400, code: 20102, message: 'the body is not JSON' },
  bodyTooLarge: { status: 413, code: 20103, message: 'the body is too large' },
  wrongContentType: { status: 415, code: 20104, message: 'changes need `content-type: application/json`' },
  foreignHost: { status: 421, code: 20105, message: 'this host name is not served here' },
  foreignOrigin: { status: 403, code: 20106, message: 'requests from other sites are refused' },
  misfronted: { status: 400, code: 20110, message: 'the proxy in front of this lab is set up wrongly' },
  foreignClient: { status: 403, code: 20109, message: 'Gateway DNS answers only this machine and `dns.clients`' },
  noFleet: { status: 404, code: 20111, message: 'this lab is in no fleet: its configuration has no `fleet`' },
  noDns: { status: 404, code: 20108, message: 'this lab has no Gateway DNS: its configuration has no `dns`' },
  invalidPath: { status: 400, code: 20107, message: 'the path is not well-formed' },
  internal: { status: 500, code: 20199, message: 'an unexpected error inside the lab' },
} as const

/** Numbers of refusals that word their message themselves; Cloudflare's. */
export const WORDED_CODES = {
  tooManyRequests: 971,
  refusedByLogpush: 1002,
  noSuchRoute: 1015,
} as const

/** Numbers of the envelope's `messages`, which stand beside a good answer; the lab's own. */
export const NOTICE_CODES = {
  neverEvaluated: 20200,
  listensOn: 20201,
  settingWithoutEffect: 20202,
  keptWithoutEffect: 20203,
} as const

export type RequestErrorName = keyof typeof REQUEST_ERRORS

/** A refusal from the table above, its message replaced where there is more to say. */
export function requestError(
  name: RequestErrorName,
  message?: string,
  headers: Readonly<Record<string, string>> = {},
): ApiError {
  const { status, code, message: standard } = REQUEST_ERRORS[name]
  return new ApiError(status, [{ code, message: message ?? standard }], headers)
}

/** An object that is not there, as the state itself would say it. */
export function notFound(message: string, code: number = CHANGE_ERRORS['change.not_found'].cloudflareCode): ApiError {
  return new ApiError(404, [{ code, message }])
}

/** One field of the request that does not fit. */
export function invalidField(pointer: string, message: string): ApiError {
  return new ApiError(400, [{ code: REQUEST_ERRORS.invalidField.code, message, pointer }])
}

/** A refused change of the state as an answer. */
export function fromChangeError(error: ChangeError): ApiError {
  const { status, cloudflareCode } = error.rendering
  const details = Object.keys(error.details).length === 0 ? {} : { details: error.details }
  return new ApiError(status, [{ code: cloudflareCode, message: error.message, ...details }])
}
