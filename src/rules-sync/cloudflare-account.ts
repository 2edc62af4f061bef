// An account behind Cloudflare's API, the real one or the lab's, through the official SDK. The SDK is loaded when an
// account is opened and not before.

import type Cloudflare from 'cloudflare'
import type { APIError } from 'cloudflare'
import type { ListCreateParams, ListUpdateParams } from 'cloudflare/resources/zero-trust/gateway/lists/lists.js'
import type { RuleCreateParams, RuleUpdateParams } from 'cloudflare/resources/zero-trust/gateway/rules.js'
import type {
  VirtualNetworkCreateParams,
  VirtualNetworkEditParams,
} from 'cloudflare/resources/zero-trust/networks/virtual-networks.js'
import type { JsonObject } from '../config/lab-state.ts'
import { InputError, inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import { listFrom, networkFrom, objectsIn, ruleFrom } from './from-export.ts'
import type { PolicyStep, PortablePolicy } from './portable-policy.ts'

export interface AccountAccess {
  /** for messages: `the lab at http://127.0.0.1:8090` */
  readonly called: string
  /** ends in `/client/v4` */
  readonly baseUrl: string
  readonly credentials: { readonly token: string } | { readonly email: string; readonly key: string }
  /** absent: the one account the credentials are good for */
  readonly accountId?: string
}

export interface CloudflareAccount {
  /** Everything there is. Throws an InputError. */
  read(): Promise<PortablePolicy>
  /** Makes one change; answers the id of the thing. */
  carryOut(step: PolicyStep): Promise<string>
  /** Why a change was refused, as the API said it. */
  reasonOf(thrown: unknown): string
}

/** Opens the account. Throws an InputError if the API does not answer, rejects the credentials, or has several accounts. */
export async function openAccount(access: AccountAccess): Promise<CloudflareAccount> {
  const sdk = await import('cloudflare')
  const { credentials, baseUrl, called } = access
  const client = new sdk.default({
    baseURL: baseUrl,
    apiToken: 'token' in credentials ? credentials.token : null,
    apiEmail: 'email' in credentials ? credentials.email : null,
    apiKey: 'key' in credentials ? credentials.key : null,
    timeout: 30_000,
    logLevel: 'off',
  })
  const reasonOf = (thrown: unknown) => reason(thrown, sdk.APIError)
  const asInput = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (thrown) {
      if (thrown instanceof InputError || !(thrown instanceof sdk.CloudflareError)) throw thrown
      throw problem('rules.api', `${called} says: ${reasonOf(thrown)}`)
    }
  }
  const account_id = access.accountId ?? (await asInput(() => onlyAccount(client, called)))
  return {
    read: () => asInput(() => readAll(client, account_id, called)),
    carryOut: (step) => carryOut(client, account_id, step),
    reasonOf,
  }
}

async function onlyAccount(client: Cloudflare, called: string): Promise<string> {
  const seen: string[] = []
  for await (const { id, name } of client.accounts.list()) {
    seen.push(id)
    if (seen.length > 1) {
      throw problem('rules.which_account', `${called} has more than one account: ${seen.join(', ')} (\`${name}\`)`, {
        hint: 'choose one with `--account ID` or CLOUDFLARE_ACCOUNT_ID',
      })
    }
  }
  const [only] = seen
  if (only !== undefined) return only
  throw problem('rules.which_account', `${called} has no account for these credentials`, {
    hint: 'choose one with `--account ID` or CLOUDFLARE_ACCOUNT_ID',
  })
}

async function readAll(client: Cloudflare, account_id: string, called: string): Promise<PortablePolicy> {
  const { gateway, networks } = client.zeroTrust
  const rules = await all(gateway.rules.list({ account_id }))
  const lists = await all(gateway.lists.list({ account_id }))
  const virtualNetworks = await all(networks.virtualNetworks.list({ account_id, is_deleted: false }))
  const withItems = []
  for (const list of lists) {
    const items = await all(gateway.lists.items.list(String(list.id), { account_id }))
    withItems.push(listFrom(list, [...items]))
  }
  return {
    source: called,
    rules: rules.filter(({ deleted_at: deletedAt }) => (deletedAt ?? null) === null).map(ruleFrom),
    lists: withItems,
    virtualNetworks: virtualNetworks.map(networkFrom),
    notes: [],
  }
}

/** What the SDK hands out is JSON; its types know less than there is. */
async function all(pages: AsyncIterable<unknown>): Promise<readonly JsonObject[]> {
  const items: unknown[] = []
  for await (const item of pages) items.push(item)
  return objectsIn(items)
}

async function carryOut(client: Cloudflare, account_id: string, step: PolicyStep): Promise<string> {
  if (step.thing === 'rule') return changeRule(client, account_id, step)
  return step.thing === 'list' ? changeList(client, account_id, step) : changeNetwork(client, account_id, step)
}

async function changeRule({ zeroTrust }: Cloudflare, account_id: string, step: PolicyStep): Promise<string> {
  const { rules } = zeroTrust.gateway
  const { action, id = '', body } = step
  if (action === 'delete') await rules.delete(id, { account_id })
  if (action === 'create') return (await rules.create(params<RuleCreateParams>(body, account_id))).id ?? ''
  if (action === 'update' || action === 'park') await rules.update(id, params<RuleUpdateParams>(body, account_id))
  return id
}

/** Replacing a list skips items where there are none, so the last ones are removed by name. */
async function changeList({ zeroTrust }: Cloudflare, account_id: string, step: PolicyStep): Promise<string> {
  const { lists } = zeroTrust.gateway
  const { action, id = '', body, differences } = step
  if (action === 'create') return (await lists.create(params<ListCreateParams>(body, account_id))).id ?? ''
  await lists.update(id, params<ListUpdateParams>(body, account_id))
  const removed = differences.flatMap(({ field, before }) =>
    field === 'items' && typeof before === 'string' ? [before] : [],
  )
  if (objectsIn(body.items).length === 0 && removed.length > 0) await lists.edit(id, { account_id, remove: removed })
  return id
}

async function changeNetwork({ zeroTrust }: Cloudflare, account_id: string, step: PolicyStep): Promise<string> {
  const { virtualNetworks } = zeroTrust.networks
  const { action, id = '', body } = step
  if (action === 'create')
    return (await virtualNetworks.create(params<VirtualNetworkCreateParams>(body, account_id))).id
  await virtualNetworks.edit(id, params<VirtualNetworkEditParams>(body, account_id))
  return id
}

/** Bodies are the API's own objects; the SDK's types list what it knew of them when it was made. */
function params<T>(body: JsonObject, account_id: string): T {
  return { ...body, account_id } as T
}

/** The API's own words and numbers; else what kept it from answering. */
function reason(thrown: unknown, ApiErrorClass: typeof APIError): string {
  if (!(thrown instanceof ApiErrorClass)) return messageOf(thrown)
  const told = thrown.errors.map(({ code, message }) => `${message} (${code})`).join('; ')
  if (told !== '') return `${thrown.status}: ${told}`
  const cause: unknown = thrown.cause
  const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : ''
  return why === '' ? thrown.message : `${thrown.message} ${why}`
}

function problem(code: string, message: string, more: { readonly hint?: string } = {}): InputError {
  return inputError(code, message, { ...more })
}
