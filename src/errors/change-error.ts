// The error class of changes to the lab's state: every reason to refuse one, with the HTTP status and Cloudflare's
// numeric code of the API's response ([A2]). Where Cloudflare's number is not public, the lab uses
// its own from 20000 upward.

/** HTTP status and numeric error code of one kind of refusal. */
export interface ChangeRendering {
  readonly status: number
  readonly cloudflareCode: number
}

/** Code → rendering. The keys are the complete list of reasons to refuse a change. */
export const CHANGE_ERRORS = {
  'change.not_found': { status: 404, cloudflareCode: 2000 },
  'change.invalid': { status: 400, cloudflareCode: 2001 },
  'change.expression': { status: 400, cloudflareCode: 2006 },
  'change.not_schedulable': { status: 400, cloudflareCode: 2014 },
  'change.precedence_taken': { status: 409, cloudflareCode: 2011 },
  'change.address_not_owned': { status: 400, cloudflareCode: 2055 },
  'change.invalid_action': { status: 400, cloudflareCode: 2087 },
  'change.name_taken': { status: 409, cloudflareCode: 1013 },
  'change.route_exists': { status: 409, cloudflareCode: 1014 },
  'change.in_use': { status: 409, cloudflareCode: 1022 },
  'change.revision_differs': { status: 412, cloudflareCode: 20001 },
  'change.rules_read_only': { status: 409, cloudflareCode: 20002 },
  'change.disk': { status: 507, cloudflareCode: 20003 },
  'change.fleet_cut_off': { status: 503, cloudflareCode: 20004 },
  'change.fleet_unknown': { status: 504, cloudflareCode: 20005 },
  'change.fleet_late': { status: 504, cloudflareCode: 20006 },
  'change.fleet_file': { status: 409, cloudflareCode: 20007 },
} as const satisfies Record<string, ChangeRendering>

export type ChangeErrorCode = keyof typeof CHANGE_ERRORS

/** A refused change; the state is as it was before. `message` is for people, `code` for programs; `details` are
 *  facts an API response may carry, without secrets (an expression's span, the conflicting object …). */
export class ChangeError extends Error {
  override readonly name = 'ChangeError'
  readonly code: ChangeErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ChangeErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }

  get rendering(): ChangeRendering {
    return CHANGE_ERRORS[this.code]
  }
}
