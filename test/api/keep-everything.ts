// Every resource that the lab only keeps, as the document of the API says it is asked for.

import { expect } from 'vitest'
import { KEPT_COLLECTIONS } from '../../src/api/cloudflare/kept-resources.ts'

/** Asks a route and answers its result. */
type Ask = (
  route: string,
  asked?: { readonly at?: Readonly<Record<string, string>>; readonly body?: unknown },
  // biome-ignore lint/suspicious/noExplicitAny: results are of many shapes, and the document is what they are held to
) => Promise<any>

const CF = '/client/v4/accounts/{account_id}'

/** Every resource that the lab only keeps: made, listed, read, changed, acted on, deleted; and the account's settings. */
export async function keepEverything(ask: Ask): Promise<void> {
  const sample = { name: 'kept', type: 'file', decision: 'allow', include: [{ everyone: {} }], config: {} }
  const more = { network: '100.96.0.0/16' }
  for (const { path, fields, required, update, idField = 'id', listPath = path, actions = {} } of KEPT_COLLECTIONS) {
    const all: Record<string, unknown> = { ...sample, ...more }
    const body = Object.fromEntries(required.map((name) => [name, all[name]]))
    const made = await ask(`POST ${CF}${path}`, { body })
    const at = { id: made[idField] }
    if (listPath !== '') expect(await ask(`GET ${CF}${listPath}`)).toContainEqual(made)
    expect(await ask(`GET ${CF}${path}/{id}`, { at })).toEqual(made)
    if (update !== undefined)
      await ask(`${update} ${CF}${path}/{id}`, { at, body: { ...body, [fields[0] ?? '']: 'x' } })
    for (const word of Object.keys(actions)) await ask(`POST ${CF}${path}/{id}/${word}`, { at, body: {} })
    if (path === '/devices/policy') {
      for (const list of ['exclude', 'include', 'fallback_domains']) {
        await ask(`PUT ${CF}/devices/policy/{id}/${list}`, { at, body: [{ suffix: 'corp.test' }] })
        expect(await ask(`GET ${CF}/devices/policy/{id}/${list}`, { at })).toEqual([{ suffix: 'corp.test' }])
        await ask(`PUT ${CF}/devices/policy/${list}`, { body: [] })
        expect(await ask(`GET ${CF}/devices/policy/${list}`)).toEqual([])
      }
    }
    await ask(`DELETE ${CF}${path}/{id}`, { at })
  }
  await ask(`PATCH ${CF}/devices/policy`, { body: { allow_updates: true } })
  await ask(`GET ${CF}/devices/policy`)

  await ask(`GET ${CF}/gateway/configuration`)
  const configuration = { settings: { host_selector: { enabled: true }, tls_decrypt: { enabled: false } } }
  await ask(`PATCH ${CF}/gateway/configuration`, { body: configuration })
  await ask(`PUT ${CF}/gateway/configuration`, { body: configuration })
  await ask(`GET ${CF}/gateway/logging`)
  await ask(`PUT ${CF}/gateway/logging`, { body: { redact_pii: true } })
  await ask(`GET ${CF}/devices/settings`)
  await ask(`PUT ${CF}/devices/settings`, { body: { gateway_proxy_enabled: true, gateway_udp_proxy_enabled: true } })
  await ask(`PATCH ${CF}/devices/settings`, { body: { gateway_proxy_enabled: true } })
  await ask(`DELETE ${CF}/devices/settings`)
}
