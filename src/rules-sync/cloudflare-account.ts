// An account behind Cloudflare's API, the real one or the lab's: its rules, lists and virtual networks, read and changed.

import type { Dispatcher } from 'undici'
import type { JsonObject } from '../config/lab-state.ts'
import { type InputError, inputError } from '../errors/issue.ts'
import { type ApiCredentials, CloudflareApi, CloudflareApiError } from './cloudflare-api.ts'
import { listFrom, networkFrom, objectsIn, ruleFrom } from './from-export.ts'
import type { PolicyStep, PortablePolicy } from './portable-policy.ts'

export interface AccountAccess {
  /** for messages: `the lab at http://127.0.0.1:8090` */
  readonly called: string
  /** ends in `/client/v4` */
  readonly baseUrl: string
  readonly credentials: ApiCredentials
  /** knows the certificate of the API; absent: this machine does */
  readonly dispatcher?: Dispatcher | undefined
  /** absent: the one account the credentials are good for */
  readonly accountId?: string
}

/** Opens the account. Throws an InputError if the API does not answer, rejects the credentials, or has several accounts. */
export async function openAccount(access: AccountAccess): Promise<CloudflareAccount> {
  const api = new CloudflareApi(access.baseUrl, access.credentials, access.dispatcher)
  const id = access.accountId ?? (await asInput(access.called, () => onlyAccount(api, access.called)))
  return new CloudflareAccount(api, access.called, `/accounts/${encodeURIComponent(id)}`)
}

/** One account; calls reject with the InputError of the API client, which names the call. */
export class CloudflareAccount {
  readonly #api: CloudflareApi
  readonly #called: string
  readonly #path: string

  constructor(api: CloudflareApi, called: string, path: string) {
    this.#api = api
    this.#called = called
    this.#path = path
  }

  /** Everything there is. Throws an InputError. */
  read(): Promise<PortablePolicy> {
    return asInput(this.#called, () => this.#readAll())
  }

  /** Makes one change; answers the id of the thing. Throws an error whose message says in the API's words why not. */
  carryOut(step: PolicyStep): Promise<string> {
    if (step.thing === 'rule') return this.#changeRule(step)
    return step.thing === 'list' ? this.#changeList(step) : this.#changeNetwork(step)
  }

  async #readAll(): Promise<PortablePolicy> {
    const rules = await this.#all('/gateway/rules')
    const lists = await this.#all('/gateway/lists')
    const virtualNetworks = await this.#all('/teamnet/virtual_networks?is_deleted=false')
    const withItems = []
    for (const list of lists) {
      const items = await this.#all(`/gateway/lists/${encodeURIComponent(String(list.id))}/items`)
      withItems.push(listFrom(list, [...items]))
    }
    return {
      source: this.#called,
      rules: rules.filter(({ deleted_at: deletedAt }) => (deletedAt ?? null) === null).map(ruleFrom),
      lists: withItems,
      virtualNetworks: virtualNetworks.map(networkFrom),
      notes: [],
    }
  }

  async #all(path: string): Promise<readonly JsonObject[]> {
    const items: unknown[] = []
    for await (const item of this.#api.list(this.#path + path)) items.push(item)
    return objectsIn(items)
  }

  async #changeRule({ action, id = '', body }: PolicyStep): Promise<string> {
    const rules = `${this.#path}/gateway/rules`
    if (action === 'create') return this.#create(rules, body)
    if (action === 'delete') await this.#api.call('DELETE', oneOf(rules, id))
    if (action === 'update' || action === 'park') await this.#api.call('PUT', oneOf(rules, id), body)
    return id
  }

  /** Replacing a list skips items where there are none, so the last ones are removed by name. */
  async #changeList({ action, id = '', body, differences }: PolicyStep): Promise<string> {
    const lists = `${this.#path}/gateway/lists`
    if (action === 'create') return this.#create(lists, body)
    await this.#api.call('PUT', oneOf(lists, id), body)
    const remove = differences.flatMap(({ field, before }) =>
      field === 'items' && typeof before === 'string' ? [before] : [],
    )
    const isEmptied = objectsIn(body.items).length === 0 && remove.length > 0
    if (isEmptied) await this.#api.call('PATCH', oneOf(lists, id), { remove })
    return id
  }

  async #changeNetwork({ action, id = '', body }: PolicyStep): Promise<string> {
    const networks = `${this.#path}/teamnet/virtual_networks`
    if (action === 'create') return this.#create(networks, body)
    await this.#api.call('PATCH', oneOf(networks, id), body)
    return id
  }

  async #create(path: string, body: JsonObject): Promise<string> {
    return String(Object(await this.#api.call('POST', path, body)).id ?? '')
  }
}

function oneOf(path: string, id: string): string {
  return `${path}/${encodeURIComponent(id)}`
}

async function asInput<T>(called: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (!(thrown instanceof CloudflareApiError)) throw thrown
    throw problem('rules.api', `${called} says: ${thrown.message}`)
  }
}

async function onlyAccount(api: CloudflareApi, called: string): Promise<string> {
  const seen: string[] = []
  for await (const account of api.list('/accounts')) {
    const { id, name } = Object(account)
    seen.push(String(id))
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

function problem(code: string, message: string, more: { readonly hint?: string } = {}): InputError {
  return inputError(code, message, { ...more })
}
