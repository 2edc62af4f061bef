// One way to ask the lab, with the cookie the browser keeps. A refusal becomes an ApiFailure with everything that was said;
// being signed out is announced, not thrown around.

import { signal } from '@preact/signals'
import { urlOf } from '../base.ts'

export interface Problem {
  readonly code: number
  readonly message: string
  readonly source?: { readonly pointer: string }
  readonly details?: Readonly<Record<string, unknown>>
}

export class ApiFailure extends Error {
  readonly status: number
  readonly problems: readonly Problem[]

  /** Status 0: the lab did not answer at all. */
  constructor(status: number, problems: readonly Problem[]) {
    super(problems.map(({ message }) => message).join('; '))
    this.status = status
    this.problems = problems
  }
}

/** undefined: not known yet */
export const signedIn = signal<boolean | undefined>(undefined)

/** Whether this page was signed in and is not any more, without having signed out. */
export const hasEnded = signal(false)
let wasSignedIn = false

/** The revision of the state the last answer spoke of, for `If-Match`. */
export let lastRevision = ''

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface RequestOptions {
  readonly body?: unknown
  /** `Authorization`, on pages that use people's own credentials instead of the cookie */
  readonly authorization?: string
  readonly signal?: AbortSignal
  /** the revision a change is held to, in quotes */
  readonly ifMatch?: string
}

interface Envelope<T> {
  readonly result: T
  readonly success: boolean
  readonly errors: readonly Problem[]
}

/** Tells and takes ways in; needs no cookie. */
export const LOGIN = '/lab/v1/login'

/** The `result` of an answer. Throws ApiFailure. */
export async function ask<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
  const response = await reach(method, path, options)
  const answer = await readEnvelope<T>(response)
  const isByCookie = options.authorization === undefined && path !== LOGIN
  if (response.ok && answer?.success === true) {
    wasSignedIn ||= isByCookie
    return answer.result
  }
  if (response.status === 401 && options.authorization === undefined) {
    hasEnded.value ||= wasSignedIn && isByCookie
    signedIn.value = false
  }
  const said = answer?.errors ?? []
  throw new ApiFailure(
    response.status,
    said.length > 0 ? said : [{ code: 0, message: `the lab answered ${response.status}` }],
  )
}

async function reach(
  method: Method,
  path: string,
  { body, authorization, signal, ifMatch }: RequestOptions,
): Promise<Response> {
  try {
    const response = await fetch(urlOf(path), {
      method,
      headers: {
        ...(body === undefined && (method === 'GET' || method === 'DELETE')
          ? {}
          : { 'content-type': 'application/json' }),
        ...(authorization === undefined ? {} : { authorization }),
        ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
      },
      credentials: authorization === undefined ? 'same-origin' : 'omit',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
    lastRevision = response.headers.get('egresslab-revision') ?? lastRevision
    return response
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'AbortError') throw thrown
    throw new ApiFailure(0, [{ code: 0, message: 'the lab does not answer; is it still running?' }])
  }
}

async function readEnvelope<T>(response: Response): Promise<Envelope<T> | undefined> {
  try {
    return (await response.json()) as Envelope<T>
  } catch {
    return undefined
  }
}

/** Trades the token for a cookie no script can read. Throws ApiFailure. */
export async function signIn(token: string): Promise<void> {
  await ask('POST', LOGIN, { body: { token: token.trim() } })
  hasEnded.value = false
  signedIn.value = true
}

export async function signOut(): Promise<void> {
  await ask('POST', '/lab/v1/logout', { body: {} })
  wasSignedIn = false
  signedIn.value = false
}

/** Words for people, whatever was thrown. */
export function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
